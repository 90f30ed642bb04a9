"""The Containerfile: it copies what there is, ends as nobody's root, and its images run.

Building takes minutes, a builder, and an image of Python:

    pytest -m slow tests/installation/test_containerfile.py

EDGESEG_BUILDER is the builder with its options where it is not podman, docker or buildah by its
name alone; EDGESEG_PYTHON_IMAGE the image to build on where docker.io cannot be reached.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.bundles import painted
from tests.installation.test_wheel import EXTRAS

ROOT = Path(__file__).parents[2]
IMAGE = "docker.io/library/python:3.12-slim"


def instructions() -> list[tuple[str, str]]:
    """The instructions with what follows them, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    copied = [
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert ignored[1] == "*" and copied == allowed
    assert all((ROOT / source).exists() for source in copied)
    wheel = {"pyproject.toml", "README.md", "LICENSE", "edgeseg", "cli", "export", "calibration"}
    assert set(copied) == wheel


def test_stages_come_before_their_use_and_both_images_end_without_root() -> None:
    stages: dict[str, str] = {}  # each with the one that it begins with
    users: dict[str, str] = {}
    current = ""
    for name, rest in instructions():
        if name == "FROM":
            base, _, current = rest.partition(" AS ")
            assert base == "${PYTHON}" or base in stages, rest
            stages[current], users[current] = base, users.get(base, "root")
        elif name == "USER":
            users[current] = rest
        elif name == "COPY" and (source := re.match(r"--from=(\S+)", rest)):
            assert source[1] in stages, rest
    assert list(stages)[-1] == "device"  # what is built where no target is named
    for image in ("device", "site"):
        assert users[image].isdecimal() and int(users[image]) > 0


def test_extras_are_those_of_the_wheel() -> None:
    defaults = dict(rest.split("=", 1) for name, rest in instructions() if name == "ARG")
    assert defaults["PYTHON"] == IMAGE
    assert set(defaults["EXTRAS"].split(",")) <= EXTRAS
    page = (ROOT / "docs" / "containers.md").read_text()
    for target in ("device", "site"):
        assert f"--target {target}" in page


def test_commands_of_the_page_leave_folders_to_their_owner() -> None:
    page = (ROOT / "docs" / "containers.md").read_text().replace("\\\n", " ")
    commands = [line for line in page.splitlines() if re.match(r"(podman|docker) run ", line)]
    assert {line.split()[0] for line in commands} == {"podman", "docker"}
    for line in commands:
        words = shlex.split(line)
        assert words[words.index("--user") + 1] == "$(id -u):$(id -g)", line
        assert ("--userns" in words) == (words[0] == "podman"), line
        assert not any(re.search(r":\w*U\w*$", word) for word in words), line
        assert not {"--rm", "--restart"} <= set(words), line
        assert ("--device" in words) == ("--group-add" in words), line
    assert any("--device" in line for line in commands)


def builder() -> list[str]:
    """The builder with its options; skips where there is none that works."""
    named = shlex.split(os.environ.get("EDGESEG_BUILDER", ""))
    found = [named] if named else [[name] for name in ("podman", "docker", "buildah")]
    for command in found:
        there = shutil.which(command[0]) is not None
        if there and subprocess.run([*command, "info"], capture_output=True).returncode == 0:
            return command
    pytest.skip("no podman, docker or buildah that works here")


def checked(*command: str) -> str:
    """What a command prints; fails with what it complains about."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, (
        f"{shlex.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    )
    return done.stdout


def run_image(builds: list[str], image: str, mounts: dict[Path, str], *arguments: str) -> str:
    """What `edgeseg` prints in a container."""
    volumes = [word for path, place in mounts.items() for word in ("-v", f"{path}:{place}:ro")]
    if Path(builds[0]).name != "buildah":
        return checked(*builds, "run", "--rm", *volumes, image, *arguments)
    container = checked(*builds, "from", image).strip()
    try:
        return checked(*builds, "run", *volumes, container, "--", "edgeseg", *arguments)
    finally:
        checked(*builds, "rm", container)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "settings"),
    [("device", {}), ("site", {"TORCH_INDEX": "", "EXTRAS": "device,review"})],
)
def test_an_image_is_built_and_runs_a_bundle(
    target: str, settings: dict[str, str], bundle_path: Path, tmp_path: Path
) -> None:
    builds, python = builder(), os.environ.get("EDGESEG_PYTHON_IMAGE", IMAGE)
    pulled = subprocess.run([*builds, "pull", python], capture_output=True, text=True, timeout=600)
    if pulled.returncode != 0 and "localhost/" not in python:
        pytest.skip(f"{python} cannot be pulled: {pulled.stderr.strip().splitlines()[-1:]}")
    options = [f"--build-arg={name}={value}" for name, value in settings.items()]
    image, file = f"localhost/edgeseg-test:{target}", str(ROOT / "Containerfile")
    named = ["--file", file, "--target", target, f"--build-arg=PYTHON={python}", "--tag", image]
    checked(*builds, "build", *named, *options, str(ROOT))
    try:
        assert run_image(builds, image, {}, "--version").startswith("edgeseg ")
        pictures = tmp_path / "pictures"
        pictures.mkdir()
        cv2.imwrite(str(pictures / "0.png"), painted(np.array([[0, 1], [2, 3]]))[..., ::-1])
        mounts = {bundle_path: "/work/bundle", pictures: "/work/pictures"}
        arguments = ("infer", "bundle", "--source", "pictures", "--masks", "masks", "--json")
        line = json.loads(run_image(builds, image, mounts, *arguments))
        assert all(0.2 < share < 0.3 for share in line["area"].values())
    finally:
        checked(*builds, "rmi", image)
