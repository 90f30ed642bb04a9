"""A device: a fresh environment that holds the wheel with its device extra, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.bundles import painted

OLDEST = "python3.10"  # that edgeseg runs on, and the one of a Jetson
ABSENT = ("torch", "onnx", "scipy", "starlette")
LOOK = """
import importlib.util, json, sys
from edgeseg.installation import install_command
found = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]
print(json.dumps({"found": found, "more": install_command("train")}))
"""


def call(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command outside of the checkout, as if it were not there."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=900,
    )


def python_for_devices() -> str:
    """The oldest Python that is installed here, else the one that runs the tests."""
    named = shutil.which(OLDEST)
    works = named and subprocess.run([named, "-c", "import venv"], capture_output=True)
    return named if named and works and works.returncode == 0 else sys.executable


@pytest.mark.slow
def test_the_wheel_with_its_device_extra_runs_a_bundle(
    wheel_path: Path, bundle_path: Path, tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    made = call(python_for_devices(), "-m", "venv", environment, folder=tmp_path)
    assert made.returncode == 0, made.stderr
    binaries = environment / ("Scripts" if os.name == "nt" else "bin")
    pip = [binaries / "python", "-m", "pip", "install", "--quiet", "--no-compile"]
    installed = call(*pip, f"{wheel_path}[device]", folder=tmp_path)
    if "No matching distribution" in installed.stderr or "onnection" in installed.stderr:
        pytest.skip(f"no package registry: {installed.stderr.splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr
    looked = json.loads(call(binaries / "python", "-c", LOOK, *ABSENT, folder=tmp_path).stdout)
    assert looked["found"] == []
    assert looked["more"] == f"pip install '{wheel_path}[train]'"
    cv2.imwrite(str(tmp_path / "tiles.png"), painted(np.array([[0, 1], [2, 3]]))[..., ::-1])
    infer = [binaries / "edgeseg", "infer", bundle_path, "--source", tmp_path / "tiles.png"]
    ran = call(*infer, "--masks", tmp_path / "masks", "--json", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert all(0.2 < share < 0.3 for share in json.loads(ran.stdout)["area"].values())
    assert cv2.imread(str(tmp_path / "masks" / "tiles.png"), cv2.IMREAD_UNCHANGED) is not None
    for command in (("doctor",), ("schema", "manifest"), ("bench", bundle_path, "--frames", 2)):
        done = call(binaries / "edgeseg", *command, folder=tmp_path)
        assert done.returncode == 0, f"{command}: {done.stderr}"
