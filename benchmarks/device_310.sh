#!/usr/bin/env bash
# Runs a bundle in a Python 3.10 environment that holds a built wheel with the `device` extra and nothing else.
#
#   benchmarks/device_310.sh BUNDLE CLIP          PYTHON=/path/to/python3.10 where python3.10 is not on the path
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: [PYTHON=python3.10] benchmarks/device_310.sh BUNDLE CLIP" >&2
    exit 2
fi
bundle=$(realpath "$1") clip=$(realpath "$2")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3.10}
if ! "$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; then
    echo "$python is no Python 3.10 with venv; name one: PYTHON=/path/to/python3.10 $0 ..." >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp -P --parents -t "$work"
"$python" -m venv "$work/venv"
bin=$work/venv/bin
echo "building the wheel and installing it with the device extra only"
"$bin/pip" install --quiet --disable-pip-version-check --upgrade pip
"$bin/pip" wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work/wheel" "$work"
"$bin/pip" install --quiet --disable-pip-version-check "$(echo "$work"/wheel/edgeseg-*.whl)[device]"
cd "$work/wheel" # away from the tree: what runs is what the wheel holds

"$bin/python" - <<'PY'
import importlib.util
import sys
from pathlib import Path

import edgeseg

present = [name for name in ("torch", "torchvision", "timm", "onnx", "PIL", "pandas") if importlib.util.find_spec(name)]
if present:
    sys.exit(f"a device environment must not hold {', '.join(present)}")
if Path(sys.prefix) not in Path(edgeseg.__file__).parents:
    sys.exit(f"edgeseg came from {edgeseg.__file__}, not from the wheel")
print(f"Python {sys.version.split()[0]}, edgeseg {edgeseg.__version__} from the wheel; no torch, onnx, PIL, pandas")
PY
"$bin/pip" list --disable-pip-version-check --format freeze | tr '\n' ' ' && echo

"$bin/edgeseg" --help >/dev/null
"$bin/edgeseg" doctor
"$bin/edgeseg" infer "$bundle" --source "$clip" --limit 20 --log "$work/log" --save "$work/out.mp4" \
    --set log.threshold=0
test -s "$work/out.mp4"
"$bin/edgeseg" log verify "$work/log"
echo "device_310: the bundle ran; the overlay has $(stat -c %s "$work/out.mp4") bytes"
