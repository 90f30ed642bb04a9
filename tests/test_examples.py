"""The scripts in examples/ run, each as its docstring says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from edgeseg.bundle import Bundle
from edgeseg.config import SiteConfig, to_toml, validate_config
from tests.helpers.bundles import make_bundle, painted
from tests.helpers.rounds import SECTIONS, make_log, make_site

EXAMPLES = Path(__file__).parents[1] / "examples"
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


def test_a_bundle_runs_on_pictures(tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "bundle")
    picture = tmp_path / "tiles.png"
    cv2.imwrite(str(picture), painted(TILES, 128, 192)[..., ::-1])
    said = run("run_bundle.py", made.path, picture, "--output", tmp_path / "masks")
    assert said.startswith("tiles.png: ") and "brick" in said
    mask = cv2.imread(str(tmp_path / "masks" / "tiles.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None and mask.shape[:2] == (128, 192)


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
