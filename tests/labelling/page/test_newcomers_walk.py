"""A newcomer with a clip and nothing else labels twelve frames in the page and runs INT8."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgeseg.site import Site
from tests.helpers.videos import encode_video
from tests.labelling.page.browser_pages import LabelPage, chromium, label_server

FRAMES = 12
SPLITS = {1: "val", 4: "val", 7: "val", 10: "gate"}  # what the page says is still needed
TRAINING = {
    "weights": "none",
    "encoder": "mobilenetv2_035",
    "imgsz": "[64,96]",
    "steps": "4",
    "eval_every": "4",
    "checkpoint_every": "4",
    "batch": "2",
    "batch_unlabelled": "2",
}
QUICK = {
    "data.fps": "2",
    "data.block_seconds": "2",
    **{f"train.{key}": value for key, value in TRAINING.items()},
    **{f"distill.{key}": value for key, value in TRAINING.items()},
    "export.max_drop": "100",
    "export.max_class_drop": "100",
    "export.min_speedup": "0",
    "export.calibration_frames": "8",
}


def edgeseg(folder: Path, *arguments: str) -> str:
    """Run a command as a person would, with quick settings where it takes any."""
    settings = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]
    takes_settings = arguments[0] in ("add", "train", "distill", "export")
    done = subprocess.run(
        [sys.executable, "-m", "edgeseg.cli.app", *arguments, *settings * takes_settings],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.browser
def test_from_a_clip_to_an_int8_bundle(tmp_path: Path) -> None:
    clip = os.environ.get("EDGESEG_WALK_CLIP")  # a real one, by hand
    if clip is None:
        clip = str(tmp_path / "clip.mp4")
        blocks = np.random.default_rng(0).integers(0, 256, (40, 6, 8, 3), np.uint8)
        pictures = [picture.repeat(16, 0).repeat(16, 1) for picture in blocks]
        Path(clip).write_bytes(encode_video(pictures, fps=2.0))
    edgeseg(tmp_path, "init", "walk", "--classes", "ground,vehicle,person")
    folder = tmp_path / "walk"
    edgeseg(folder, "add", "footage", clip)
    site = Site.open(folder)
    number = min(FRAMES, len(site.frames()) - 1)  # one frame of footage is left to distil on
    with chromium() as browser, label_server(site) as server:
        page = LabelPage(browser.new_page(viewport={"width": 1280, "height": 800}))
        page.open(server.url)
        for place in range(number):
            frame_id = page.frame()
            height, width = page.mask().shape
            page.press("1", "f")
            page.click(width * 0.5, height * 0.9)
            for key, row in (("2", 0.3), ("3", 0.6)):
                page.press("b", key)
                page.stroke((width * 0.2, height * row), (width * 0.8, height * (row + 0.1)))
            page.page.select_option("#split", SPLITS.get(place, "auto"))
            page.page.focus("#stage")
            page.press("a")
            page.until(f"edgesegLabel.editor.frame !== {json.dumps(frame_id)}")
        assert "everything is saved" in server.stop() and not page.problems
    splits = Counter(frame.split for frame in site.frames())
    assert splits["labelled"] + splits["val"] + splits["gate"] == number and splits["val"] >= 3
    edgeseg(folder, "train")
    edgeseg(folder, "distill")
    edgeseg(folder, "export", "--int8")
    lines = edgeseg(folder, "infer", "--source", clip, "--precision", "int8", "--json").splitlines()
    assert any("ground" in line for line in lines)
