"""The scripts in examples/ run, each as its docstring says."""

from __future__ import annotations

import ast
import os
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgeseg.bundle import Bundle, write_bundle
from edgeseg.config import InferConfig, SiteConfig, to_toml, validate_config
from edgeseg.runtime.inference import OutputTargets, infer
from tests.helpers.bundles import make_bundle, painted
from tests.helpers.rounds import SECTIONS, make_log, make_site

EXAMPLES = Path(__file__).parents[2] / "examples"
REAL = Path(__file__).parents[1] / "golden" / "dd65a29" / "bundle"
TILES = np.array([[0, 1], [2, 3]])


def run(script: str, *arguments: object) -> str:
    """What the script prints."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def class_ids(mask: Path) -> NDArray[np.uint8]:
    """The values of a palette PNG."""
    with Image.open(mask) as opened:
        assert opened.mode == "P"
        return np.array(opened)


def test_a_bundle_runs_on_pictures(tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "bundle")
    picture = tmp_path / "tiles.png"
    cv2.imwrite(str(picture), painted(TILES, 128, 192)[..., ::-1])
    said = run("run_bundle.py", made.path, picture, "--output", tmp_path / "masks")
    assert said.startswith("tiles.png: ") and "brick" in said
    mask = cv2.imread(str(tmp_path / "masks" / "tiles.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None and mask.shape[:2] == (128, 192)


def test_masks_of_a_bundle_replace_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = runpy.run_path(str(EXAMPLES / "run_bundle.py"))["main"]
    pictures = [tmp_path / "a" / "1.png", tmp_path / "b" / "1.png"]
    for given, output, reason in (
        (pictures[:1], tmp_path / "a", "would replace pictures"),
        (pictures, tmp_path / "masks", "two pictures have one name"),
    ):
        words = ["run_bundle.py", "no bundle", *map(str, given), "--output", str(output)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit, match=reason):
            main()


def test_the_openvino_example_imports_nothing_of_edgeseg() -> None:
    nodes = list(ast.walk(ast.parse((EXAMPLES / "openvino_bundle.py").read_text())))
    imported = [one.name for node in nodes if isinstance(node, ast.Import) for one in node.names]
    imported += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    assert "openvino" in imported and not any(name.startswith("edgeseg") for name in imported)


@pytest.mark.parametrize(
    ("fit", "precision", "file"),
    [
        ("stretch", "int8", "model.int8-cpu.onnx"),
        ("letterbox", "fp32", "model.onnx"),
        ("crop", "int8", "model.int8-cpu.onnx"),
    ],
)
def test_openvino_alone_gives_the_masks_of_infer(
    fit: str, precision: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="pip install -e '.[openvino]'")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    old = Bundle.open(REAL)
    changed = old.manifest.model_copy(update={"fit": fit})
    bundle = write_bundle(tmp_path / "bundle", changed, {f: old.read(f) for f in changed.files})
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    generator = np.random.default_rng(0)
    for number, size in enumerate([(64, 96), (120, 90), (70, 200), (31, 40)]):
        scene = cv2.resize(generator.integers(0, 256, (6, 8, 3), np.uint8), size[::-1])
        cv2.imwrite(str(pictures / f"{number}.{'jpg' if number % 2 else 'png'}"), scene)
    config = InferConfig.model_validate({"backend": "openvino", "precision": precision})
    infer(bundle, str(pictures), OutputTargets(masks=tmp_path / "edgeseg"), config)
    files, own = sorted(pictures.iterdir()), tmp_path / "own"
    said = run("openvino_bundle.py", bundle.path, *files, "--output", own, "--file", file)
    assert "% of the golden pixels are of the right class" in said
    assert said.count("score ") == len(files)
    for path in files:
        expected, mask = (class_ids(tmp_path / by / f"{path.stem}.png") for by in ("edgeseg", own))
        assert np.array_equal(mask, expected), path.name


def test_a_frame_log_is_read_into_numpy(tmp_path: Path) -> None:
    make_log(tmp_path / "log", range(3))
    said = run("read_frame_log.py", tmp_path / "log", "--output", tmp_path / "frames.npz")
    assert "3 records, 0 of them drawn at random" in said
    with np.load(tmp_path / "frames.npz") as arrays:
        assert arrays["score"].tolist() == sorted(arrays["score"], reverse=True)


def test_a_site_is_trained_distilled_and_exported(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", validate_config(SiteConfig, SECTIONS, "the test site"))
    (site.root / "edgeseg.toml").write_text(to_toml(site.config))
    said = run("train_and_export.py", site.root, "train.steps=2", "train.eval_every=2")
    path = Path(said.strip().splitlines()[-1].removeprefix("bundle: "))
    assert Bundle.open(path).manifest.site == site.config.name
    assert "site model: mIoU" in said and "edge model: mIoU" in said
