"""What `openvino_bundle.py` refuses. ONNX Runtime stands in for OpenVINO, which not all have."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

from edgeseg.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS
from edgeseg.runtime.backends.agreement_limits import minimum_agreement
from tests.helpers.bundles import make_bundle, painted

SCRIPT = Path(__file__).parents[2] / "examples" / "openvino_bundle.py"
TILES = np.array([[0, 1], [2, 3]])


class Core:
    """As much of OpenVINO as the example takes; the masks are turned by `turn` classes."""

    turn = 0

    def read_model(self, model: bytes) -> bytes:
        return model

    def compile_model(self, model: bytes, device: str, hints: object) -> Any:  # Any: a function
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]

        def run(inputs: dict[str, Any]) -> dict[str, Any]:  # Any: arrays
            outputs = dict(zip(names, session.run(names, inputs)))
            return outputs | {"mask": (outputs["mask"] + self.turn) % 4}

        return run


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=Core))
    spec = importlib.util.spec_from_file_location("openvino_bundle", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle", int8=False)


def run(example: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    example.main()


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), painted(TILES)[..., ::-1])
    return path


def test_masks_replace_no_picture(
    example: ModuleType, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = picture(tmp_path / "footage" / "1.png"), picture(tmp_path / "footage" / "2.png")
    (tmp_path / "link").symlink_to("footage")
    before = one.read_bytes(), two.read_bytes()
    for output in (one.parent, tmp_path / "link"):
        with pytest.raises(SystemExit, match=r"1\.png is one of the pictures; choose another"):
            run(example, monkeypatch, bundle.path, one, two, "--output", output)
    assert (one.read_bytes(), two.read_bytes()) == before
    assert len(list(one.parent.iterdir())) == 2


def test_one_name_from_two_folders_is_refused(
    example: ModuleType, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = picture(tmp_path / "a" / "1.jpg"), picture(tmp_path / "b" / "1.jpg")
    masks = tmp_path / "masks"
    with pytest.raises(SystemExit, match=r"a/1\.jpg and .*b/1\.jpg would both become .*1\.png"):
        run(example, monkeypatch, bundle.path, one, two, "--output", masks)
    assert not masks.exists()
    for _ in range(2):  # an older mask is replaced
        run(example, monkeypatch, bundle.path, one, "--output", masks)
    assert [path.name for path in masks.iterdir()] == ["1.png"]
    mask = cv2.imread(str(masks / "1.png"), cv2.IMREAD_COLOR)
    assert mask is not None and np.mean(mask == painted(TILES)[..., ::-1]) > 0.9


def test_a_mask_that_cannot_be_written_leaves_the_older_one(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(image: object, file: Path, kind: str) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    target = tmp_path / "1.png"
    target.write_bytes(b"older")
    monkeypatch.setattr("PIL.Image.Image.save", fail)
    with pytest.raises(OSError, match=r"disk full"):
        example.write_mask(target, np.zeros((2, 2), np.uint8), [{"color": "#000000"}])
    assert target.read_bytes() == b"older" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", "7", "{}", '{"format": 1}', "[" * 100_000, "\udcff"],
    ids=lambda text: repr(text)[:20],
)
def test_what_is_no_bundle_is_told_in_one_sentence(
    text: str | None, example: ModuleType, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SystemExit, match=r"no bundle, or damaged"):
        example.read_manifest(tmp_path)


def test_a_file_that_is_missing_and_a_layout_to_come(example: ModuleType, bundle: Bundle) -> None:
    manifest = example.read_manifest(bundle.path)
    (bundle.path / "model.onnx").unlink()
    with pytest.raises(SystemExit, match=r"model\.onnx: No such file.*copy the bundle again"):
        example.read_file(bundle.path, manifest, "model.onnx")
    (bundle.path / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(SystemExit, match=r"a layout that this program does not know"):
        example.read_manifest(bundle.path)


def test_an_engine_that_computes_something_else_writes_no_mask(
    example: ModuleType, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Core, "turn", 1)
    masks = tmp_path / "masks"
    with pytest.raises(SystemExit, match=r"model\.onnx: at least 99\.5 % should be"):
        run(example, monkeypatch, bundle.path, picture(tmp_path / "1.jpg"), "--output", masks)
    assert not masks.exists()


@pytest.mark.parametrize("agreement", [None, "odd", float("nan"), 99.8, 98.2, 95, 50.0])
def test_the_limits_are_those_of_edgeseg(
    agreement: object, example: ModuleType, tmp_path: Path
) -> None:
    figures = {name: {"agreement": agreement} for name in FLAVOURS} if agreement else {}
    made = make_bundle(tmp_path / "bundle", int8=False, figures=figures)
    manifest = {"figures": figures}
    for name, spec in FLAVOURS.items():
        assert example.least_agreement(manifest, spec.file) == minimum_agreement(made, name)
