#!/usr/bin/env bash
# Runs a bundle on 64-bit ARM: a Debian made by debootstrap, run by qemu-user, with the wheel and the `device` extra.
# The masks are then compared with those that this machine computes; an untrained bundle turns rounding into other masks.
#
#   sudo benchmarks/arm64.sh BUNDLE CLIP      with PYTHON=.venv/bin/python for the comparison; FRAMES=5
#
# Needs root and a Debian whose apt and pip reach their package sources; their settings are copied at run time.
# ARM64_ROOT=DIR keeps the ARM system there for the next run; without it everything goes when the script ends.
set -euo pipefail

suite=bookworm
tools=(debootstrap qemu-user-static binfmt-support)

fail() {
    echo "arm64: $1" >&2
    exit 1
}

[ $# -eq 2 ] || fail "usage: [PYTHON=.venv/bin/python] [ARM64_ROOT=DIR] benchmarks/arm64.sh BUNDLE CLIP"
[ "$(id -u)" = 0 ] || fail "chroot and mount need root; run it with sudo"
# In a mount namespace of its own the kernel takes every mount back when the script ends, however it ends.
[ -n "${ARM64_INSIDE:-}" ] || ARM64_INSIDE=1 exec unshare --mount --propagation private bash "${BASH_SOURCE[0]}" "$@"

bundle=$(realpath "$1") clip=$(realpath "$2")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$(command -v "${PYTHON:-$root/.venv/bin/python}") || fail "no Python with edgeseg; run make test once or set PYTHON"
case $python in /*) ;; *) python=$PWD/$python ;; esac
frames=${FRAMES:-5}
work=$(mktemp -d)
arm=${ARM64_ROOT:-$work/arm}
mkdir -p "$arm"

cleanup() { # what is mounted leaves before anything is removed
    awk -v top="$arm/" 'index($2, top) == 1 {print $2}' /proc/self/mounts | sort -r | xargs -r -n 1 umount -l
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT

echo "1. tools"
missing=()
for tool in "${tools[@]}"; do
    dpkg-query -W -f '${Status}' "$tool" 2>/dev/null | grep -q 'ok installed' || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi
if [ ! -e /proc/sys/fs/binfmt_misc/register ]; then
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || fail "no binfmt_misc here; run it outside the container"
fi
[ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64

inside() { # run a command in the ARM system
    chroot "$arm" /usr/bin/env HOME=/root TMPDIR=/tmp LC_ALL=C.UTF-8 \
        PATH=/edgeseg/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

echo "2. an ARM Debian in $arm"
if [ ! -e "$arm/.complete" ]; then
    apt-get update -q >/dev/null
    sources=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages')
    mirror=$(awk -v suite=$suite '$2 == suite {print $1; exit}' <<<"$sources")
    [ -n "$mirror" ] || fail "apt knows no source for Debian $suite; add one to its sources"
    [ -z "$(ls -A "$arm")" ] || fail "$arm is neither empty nor a finished ARM system; remove it or name another folder"
    packages=python3,python3-venv,ca-certificates
    if ! debootstrap --arch=arm64 --variant=minbase --include=$packages "$suite" "$arm" "$mirror" >"$work/log" 2>&1; then
        tail "$work/log" >&2
        fail "debootstrap failed"
    fi
    touch "$arm/.complete"
fi
for point in proc dev tmp; do
    mountpoint -q "$arm/$point" && umount -l "$arm/$point"
done
mount -t proc proc "$arm/proc"
mount --rbind /dev "$arm/dev"
mount -t tmpfs tmpfs "$arm/tmp"
# No /sys: qemu shows this machine's there, and ONNX Runtime crashes on an ARM processor that /sys calls an x86. Without it
# ONNX Runtime warns that it knows no processor features and goes on.
inside uname -m

echo "3. pip's and the resolver's settings as on this machine"
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt "${PIP_CONFIG_FILE:-}"; do
    if [ -f "$file" ]; then mkdir -p "$arm$(dirname "$file")"; cp -L "$file" "$arm$file"; fi
done
for file in "${XDG_CONFIG_HOME:-$HOME/.config}/pip/pip.conf" "$HOME/.pip/pip.conf"; do
    if [ -f "$file" ]; then mkdir -p "$arm/root/.config/pip"; cp -L "$file" "$arm/root/.config/pip/pip.conf"; fi
done

echo "4. the wheel with the device extra"
mkdir -p "$arm/edgeseg" "$work/source"
find "$arm/edgeseg" -mindepth 1 -maxdepth 1 ! -name venv -exec rm -rf {} +
cd "$root"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp -P --parents -t "$work/source"
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$arm/edgeseg" "$work/source"
[ -x "$arm/edgeseg/venv/bin/pip" ] || inside python3 -m venv /edgeseg/venv
wheel=$(cd "$arm/edgeseg" && echo edgeseg-*.whl)
inside pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "/edgeseg/$wheel"
inside pip install --quiet --disable-pip-version-check "/edgeseg/$wheel[device]"

echo "5. edgeseg on ARM"
mkdir "$work/frames" "$work/here" "$arm/edgeseg/there"
"$python" - "$clip" "$work/frames" "$frames" <<'PY'
import sys

import cv2

clip = cv2.VideoCapture(sys.argv[1])
for number in range(int(sys.argv[3])):
    read, frame = clip.read()
    if not read or not cv2.imwrite(f"{sys.argv[2]}/{number:06}.png", frame):
        sys.exit(f"arm64: {sys.argv[1]} has only {number} frames; name a longer clip or set FRAMES")
PY
cp -r "$bundle" "$arm/edgeseg/bundle"
cp -r "$work/frames" "$arm/edgeseg/frames"
cp "$clip" "$arm/edgeseg/clip.${clip##*.}"
inside edgeseg doctor
there() {
    inside edgeseg infer /edgeseg/bundle --limit "$frames" --set log.threshold=0 "$@"
}
here() {
    "$python" -m edgeseg.cli.app infer "$bundle" --limit "$frames" "$@"
}
there --source "/edgeseg/clip.${clip##*.}" --log /edgeseg/log --masks /edgeseg/there/clip
inside edgeseg log verify /edgeseg/log
here --source "$clip" --masks "$work/here/clip"
for precision in fp32 int8; do # the same pictures on both, since video decoders differ by a grey level or two
    there --source /edgeseg/frames --precision $precision --masks /edgeseg/there/$precision
    here --source "$work/frames" --precision $precision --masks "$work/here/$precision"
done

echo "6. masks on ARM and here"
"$python" - "$arm/edgeseg/there" "$work/here" "$frames" <<'PY'
import sys
from pathlib import Path

import cv2
import numpy as np

there, here, frames = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for name, least in (("clip", 0.95), ("fp32", 0.999), ("int8", 0.98)):
    masks = sorted((here / name).glob("*.png"))
    if len(masks) != frames or [m.name for m in masks] != sorted(m.name for m in (there / name).glob("*.png")):
        sys.exit(f"arm64: {name}: the two machines did not write the same {frames} masks")
    same = [np.mean(cv2.imread(str(m), -1) == cv2.imread(str(there / name / m.name), -1)) for m in masks]
    print(f"{name}: pixel agreement mean {np.mean(same):.5f}, least {min(same):.5f} over {len(same)} frames")
    if min(same) < least:
        sys.exit(f"arm64: {name}: masks agree on {min(same):.5f} of the pixels, wanted {least}")
PY
