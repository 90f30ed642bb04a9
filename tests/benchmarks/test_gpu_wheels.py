"""Wheels travel in pieces and come together again; torch is never among them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.wheel_loads import LoadError, join, split
from benchmarks.gpu.wheels import canonical, reached, requirements

ROOT = Path(__file__).parents[2]


def make_wheels(folder: Path, *sizes: int) -> list[Path]:
    folder.mkdir()
    wheels = [folder / f"package{number}-1.0.whl" for number in range(len(sizes))]
    for number, (wheel, size) in enumerate(zip(wheels, sizes, strict=True)):
        wheel.write_bytes(bytes((number + place) % 251 for place in range(size)))
    return wheels


@pytest.mark.parametrize(
    "sizes, loads", [((30, 60), 2), ((50,), 1), ((51,), 2), ((620, 1, 1), 13), ((1, 1), 1)]
)
def test_wheels_come_together_again(tmp_path: Path, sizes: tuple[int, ...], loads: int) -> None:
    wheels = make_wheels(tmp_path / "wheels", *sizes)
    made = split(wheels, tmp_path / "loads", 50)
    assert len(made) == loads
    for load in made:
        assert sum(piece.stat().st_size for piece in load.glob("*.part*")) <= 50
    target = tmp_path / "target"
    target.mkdir()
    joined = join(tmp_path / "loads", target)
    assert [path.read_bytes() for path in joined] == [path.read_bytes() for path in wheels]
    assert [path.name for path in joined] == [path.name for path in wheels]


def test_a_missing_or_damaged_load_is_told(tmp_path: Path) -> None:
    made = split(make_wheels(tmp_path / "wheels", 40, 40), tmp_path / "loads", 50)
    hidden = made[0].rename(tmp_path / "elsewhere")
    with pytest.raises(LoadError, match=r"package0-1\.0\.whl is not whole.*load-2 are here"):
        join(tmp_path / "loads", tmp_path)
    hidden.rename(made[0])
    (piece,) = made[1].glob("*.part2")
    piece.write_bytes(b"x" * piece.stat().st_size)
    with pytest.raises(LoadError, match=r"package1-1\.0\.whl is not whole"):
        join(tmp_path / "loads", tmp_path)
    with pytest.raises(LoadError, match="holds no loads"):
        join(tmp_path / "wheels", tmp_path)


def test_new_loads_replace_those_of_before(tmp_path: Path) -> None:
    wheels = make_wheels(tmp_path / "wheels", 120, 10)
    assert len(split(wheels, tmp_path / "loads", 50)) == 3
    split(wheels[1:], tmp_path / "loads", 50)
    assert [path.name for path in (tmp_path / "loads").iterdir()] == ["load-1"]
    assert [path.name for path in join(tmp_path / "loads", tmp_path)] == [wheels[1].name]


def test_what_the_machine_has_is_not_brought() -> None:
    found = {
        "timm": {"requires_dist": ["torch", "torchvision", "pyyaml>=5 ; extra == 'x'"]},
        "torchvision": {"requires_dist": ["torch==2.11.0", "numpy"]},
        "torch": {"requires_dist": ["nvidia-cudnn-cu13"]},
        "nvidia-cudnn-cu13": {},
        "numpy": {},
    }
    assert reached(["timm>=1.0"], found, {"torch"}) == {"timm", "torchvision", "numpy"}
    assert reached(["timm>=1.0"], found, {"torch", "torchvision"}) == {"timm"}


def test_the_requirements_are_edgesegs_own_without_torch() -> None:
    pyproject = ROOT / "pyproject.toml"
    names = {canonical(text) for text in requirements(pyproject, ["train", "tensorrt-rtx"])}
    assert {"timm", "av", "numpy", "pydantic", "tensorrt-rtx-cu13"} <= names
    assert "torch" not in names and "torchvision" in names
    exported = {canonical(text) for text in requirements(pyproject, ["export"])}
    assert "onnx" in exported - names


def test_packing_and_installing_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, '.'); sys.argv[1:] = ['--install', sys.argv[1]]\n"
        "for name in ('torch', 'numpy', 'edgeseg', 'packaging'): sys.modules[name] = None\n"
        "from benchmarks import gpu_check; gpu_check.main()"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: ") and "holds no loads" in finished.stderr
