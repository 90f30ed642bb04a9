"""The wheel holds the whole package, nothing else, and offers the extras that the documentation
names.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

from edgeseg import doctor
from tests.installation.conftest import FOLDERS

ROOT = Path(__file__).parents[2]
EXTRAS = set(doctor.EXTRAS) - {"base"}


def in_tree() -> set[str]:
    """Every Python file of the package, as the wheel should name it."""
    links = {ROOT / "edgeseg" / name for name in FOLDERS if name != "edgeseg"}
    names = set()
    for folder, package in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            if not links & set(path.parents):
                names.add(f"{package}/{path.relative_to(ROOT / folder).as_posix()}")
    return names


@pytest.fixture
def wheel(wheel_path: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(wheel_path) as opened:
        yield opened


def test_the_wheel_holds_nothing_but_the_package_and_its_metadata(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert "edgeseg" in tops
    (metadata,) = tops - {"edgeseg"}
    assert metadata.startswith("edgeseg-") and metadata.endswith(".dist-info")


def test_every_module_of_the_tree_is_in_the_wheel_once(wheel: zipfile.ZipFile) -> None:
    packed = [name for name in wheel.namelist() if name.endswith(".py")]
    assert sorted(packed) == sorted(in_tree())


def test_the_parts_of_the_page_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    folder = "edgeseg/labelling/page/static"
    parts = {f"{folder}/{path.name}" for path in (ROOT / folder).iterdir()}
    assert len(parts) > 10 and parts <= set(wheel.namelist())


def test_type_checkers_find_the_types(wheel: zipfile.ZipFile) -> None:
    assert "edgeseg/py.typed" in wheel.namelist()


def test_the_three_folders_on_top_are_subpackages(wheel: zipfile.ZipFile) -> None:
    for package in FOLDERS.values():
        assert f"{package}/__init__.py" in wheel.namelist()


def test_the_metadata_offers_the_documented_extras_and_license(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(name).decode())
    assert set(metadata.get_all("Provides-Extra") or []) == EXTRAS | {"all", "dev", "docs"}
    assert metadata["License-Expression"] == "Apache-2.0"
    license = name.replace("METADATA", "licenses/LICENSE")
    assert b"Apache License" in wheel.read(license)


def test_a_device_needs_no_training_package(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    wanted = Parser().parsestr(wheel.read(name).decode()).get_all("Requires-Dist") or []
    base = {item.split(">")[0].split(";")[0].strip() for item in wanted if "extra ==" not in item}
    device = {item.split(">")[0].strip() for item in wanted if 'extra == "device"' in item}
    assert base == {"numpy", "typer", "pydantic", "tomli", "tomli-w"}
    assert device == {"av", "onnxruntime", "opencv-python-headless", "pillow"}


def test_the_command_is_installed(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "edgeseg = edgeseg.cli.start:main" in wheel.read(name).decode()
