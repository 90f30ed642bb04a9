"""A round that lacks something is refused before it starts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import AdaptError, BundleError, ConfigError, DataError
from edgeseg.imaging.image_codec import encode_png
from edgeseg.site import Site, Split
from tests.helpers.rounds import (
    CONFIG,
    TrainingStandIns,
    make_bundle,
    make_log,
    make_site,
    run_with,
    with_config,
)


def test_a_site_without_a_champion_is_told_how_to_make_one(tmp_path: Path) -> None:
    make_log(tmp_path / "log", range(100, 105))
    with pytest.raises(AdaptError, match=r"no champion; run `edgeseg export` first"):
        run_with(make_site(tmp_path / "site"))


def void_masks(site: Site, split: Split) -> None:
    """Leave no pixel of a split labelled."""
    for frame in site.frames(split):
        size = frame.height, frame.width
        site.path(frame.mask or "").write_bytes(encode_png(np.full(size, 255, np.uint8)))


@pytest.mark.parametrize(
    ("spoil", "error", "text"),
    [
        (
            lambda site: shutil.rmtree(site.root / "runs/train"),
            AdaptError,
            "site model of first is not at",
        ),
        (
            lambda site: shutil.rmtree(site.root / "runs/distill"),
            AdaptError,
            "edge model of first is not at",
        ),
        (
            lambda site: (site.root / "runs/distill/exp1/origin.json").unlink(),
            AdaptError,
            "no distilled model",
        ),
        (
            lambda site: (site.root / "runs/train/exp1/model.json").write_text("{"),
            AdaptError,
            "cannot be read",
        ),
        (
            lambda site: (site.root / "bundles/first/model.onnx").write_text("graph X"),
            BundleError,
            "damaged",
        ),
        (
            lambda site: site.save_frames(f for f in site.frames() if f.split != "gate"),
            DataError,
            "0 gate frames",
        ),
        (
            lambda site: void_masks(site, "gate"),
            DataError,
            "no pixel of the 3 gate frames is labelled",
        ),
        (lambda site: shutil.rmtree(site.root.parent / "log"), AdaptError, "log does not exist"),
        (
            lambda site: (site.root / "rounds/records.jsonl").write_text("{"),
            AdaptError,
            "records.jsonl is damaged",
        ),
    ],
)
def test_what_would_fail_hours_later_is_told_at_once(
    site: Site, spoil: Any, error: type[Exception], text: str
) -> None:
    (site.root / "rounds").mkdir()
    spoil(site)
    stand_ins = TrainingStandIns()
    with pytest.raises(error, match=text):
        run_with(site, stand_ins)
    assert stand_ins.calls == []


def test_another_network_in_the_configuration_is_told_at_once(site: Site) -> None:
    with pytest.raises(AdaptError, match=r"\[distill\] asks for deeplabv3plus/resnet18"):
        run_with(with_config(site, distill={"encoder": "resnet18"}))


def test_a_missing_tracker_is_told_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.tracking.run_trackers.find_spec", lambda name: None)
    stand_ins = TrainingStandIns()
    with pytest.raises(ConfigError, match="take wandb out of trackers"):
        run_with(with_config(site, distill={"trackers": ["wandb"]}), stand_ins)
    assert stand_ins.calls == []


def test_other_classes_are_told_at_once(site: Site) -> None:
    make_bundle(
        site.root / "bundles/first",
        site.root / "runs/distill/exp1",
        seq=1,
        classes=CONFIG.classes[:2],
    )
    with pytest.raises(AdaptError, match="first knows other classes"):
        run_with(site)


def test_a_moved_site_still_finds_its_runs(site: Site) -> None:
    run_with(site)
    moved = site.root.parent / "elsewhere"
    site.root.rename(moved)
    make_log(moved.parent / "more", range(200, 204))
    stand_ins = TrainingStandIns()
    run_with(Site(moved, site.config), stand_ins, "more")
    assert dict(stand_ins.calls)["train"]["init"] == moved / "rounds/0001/train"
