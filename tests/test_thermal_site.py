"""A site of a 16-bit thermal camera, from footage to masks on a device, by the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.bundle import Bundle
from edgeseg.cli.app import app
from edgeseg.data.frame_reader import read_site_frame
from edgeseg.imaging.mask_png import read_mask
from edgeseg.site import Site
from tests.helpers.footage import save_image
from tests.helpers.pictures import deep_png, save_bytes, thermal
from tests.helpers.sites import TINY

TRAIN = TINY | {"encoder": "test_resnet", "steps": 2}
STUDENT = {key: value for key, value in TRAIN.items() if key not in ("rep_dim", "batch_unlabelled")}
SIZE = 64, 96


def edgeseg(*arguments: object) -> None:
    app([str(argument) for argument in arguments], standalone_mode=False)


def settings(section: str, table: dict[str, Any]) -> list[str]:
    pairs = (f"{section}.{key}={json.dumps(value)}" for key, value in table.items())
    return [part for pair in pairs for part in ("--set", pair)]


def test_the_whole_job_on_16_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    frames = {seed: thermal(seed, *SIZE) for seed in range(13)}
    for seed, counts in frames.items():
        part = "footage" if seed < 4 else "train" if seed < 9 else "val" if seed < 12 else "field"
        save_bytes(tmp_path / part / f"{seed}.png", deep_png(counts))
        save_image(tmp_path / f"{part} masks" / f"{seed}.png", (counts > 7700).astype(np.uint8))
    edgeseg("init", tmp_path / "site", "--classes", "cold,warm")
    monkeypatch.chdir(tmp_path / "site")
    edgeseg("add", "footage", "../footage")
    assert "4 pictures of more than 8 bits: values from" in capsys.readouterr().err
    for split in ("train", "val"):
        edgeseg("add", "labels", f"../{split}", f"../{split} masks", "--split", split)
    edgeseg("train", "--method", "suponly", *settings("train", TRAIN))
    edgeseg("distill", *settings("distill", STUDENT))
    edgeseg("export", "--set=export.threads=1", "--set=export.ask_tensorrt=false")
    [bundle] = [path for path in Path("bundles").iterdir() if path.name != "current"]

    site, depth = Site.open(), Bundle.open(bundle).manifest.depth_range
    assert depth and 6000 < depth.low < 7000 and 8000 < depth.high < 9500
    for frame in site.frames("val"):
        image, _ = read_site_frame(site, frame)
        seen = depth.to_8bit(frames[int(Path(frame.source).stem)])
        assert np.array_equal(image, np.repeat(seen[..., None], 3, axis=2))
        assert len(np.unique(seen)) > 100
    capsys.readouterr()
    where = ["--source", "../field/12.png", "--masks", "../found"]
    edgeseg("infer", bundle, *where, "--backend", "cpu", "--threads", 1)
    assert "more than 8 bits" not in capsys.readouterr().err
    assert read_mask(tmp_path / "found" / "12.png").shape == SIZE
