"""What runs on a device, and what `edgeseg` needs to start, works where the training packages are
absent.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TRAINING = [
    "torch",
    "torchvision",
    "timm",
    "segmentation_models_pytorch",
    "lightning_fabric",
    "torchmetrics",
    "tensorboard",
    "safetensors",
]
ABSENT = [*TRAINING, "onnx", "onnxscript", "onnxslim", "pandas"]  # from a device

BLOCK = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

sys.meta_path.insert(0, Absent())
"""

DEVICE = """
import importlib, pkgutil
names = ["edgeseg." + name for name in "errors atomic_files progress metrics site".split()]
for package in "bundle imaging config runtime calibration cli".split():
    folder = importlib.import_module(f"edgeseg.{package}").__path__
    names += [item.name for item in pkgutil.walk_packages(folder, f"edgeseg.{package}.")]
for name in names:
    importlib.import_module(name)
print(len(names), "modules")
"""

HELP = """
import typer
from edgeseg.cli.app import app

def paths(group, path=()):
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from paths(command, (*path, name))

command = typer.main.get_command(app)
for path in paths(command):
    try:
        command([*path, "--help"])
    except SystemExit as stop:
        assert stop.code == 0, (path, stop.code)
"""


def run(program: str, blocked: list[str]) -> subprocess.CompletedProcess[str]:
    """Run `program` in a fresh interpreter where the packages `blocked` cannot be imported."""
    command = [sys.executable, "-c", f"BLOCKED = {blocked!r}\n{BLOCK}\n{program}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", ["torch", "onnx"])
def test_the_block_itself_works(name: str) -> None:
    assert f"No module named '{name}'" in run(f"import {name}", ABSENT).stderr


def test_device_modules_import_without_training_and_export_packages() -> None:
    done = run(DEVICE, ABSENT)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 15


def test_footage_masks_and_splits_import_without_the_training_packages() -> None:
    done = run(
        "import edgeseg.data.ingest.add_footage, edgeseg.data.ingest.add_labels, "
        "edgeseg.data.splits, edgeseg.data.leakage, edgeseg.data.class_pixels",
        TRAINING,
    )
    assert done.returncode == 0, done.stderr


def test_every_command_shows_its_help_without_training_and_export_packages() -> None:
    done = run(HELP, ABSENT)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_class_variables_of_the_configuration_name_their_type() -> None:
    """A bare ClassVar in a pydantic model is an error on Python 3.10, which Jetsons have."""
    files = sorted((Path(__file__).parents[1] / "edgeseg").rglob("*.py"))
    bare = [str(file) for file in files if ": ClassVar =" in file.read_text()]
    assert len(files) > 100 and not bare, bare


@pytest.mark.parametrize("first", ["edgeseg", "edgeseg.runtime.backends.open_runner"])
def test_onnx_runtime_reports_to_nobody(first: str, bundle_path: Path, tmp_path: Path) -> None:
    silencing = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY")
    environment = {name: value for name, value in os.environ.items() if name not in silencing}
    code = (
        f"import {first}, sys; import edgeseg\n"
        "with edgeseg.open_runner(sys.argv[1], 'cpu') as run: print(run.backend)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle_path)],
        env=environment | {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "cpu\n", done.stderr
    left = [path.name for path in tmp_path.rglob("*")]
    assert "Microsoft" not in left and "onnxruntime.db" not in left
