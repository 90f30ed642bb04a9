"""Which frames calibrate: spread over cameras and time, from the right splits, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from edgeseg.calibration.select import calibration_frames, spread
from edgeseg.errors import DataError
from edgeseg.scaffold import init
from edgeseg.site import Frame, Site, Split


def frame(camera: str, time: float, split: Split = "unlabelled") -> Frame:
    name = f"{camera}-{time:g}-{split}"
    return Frame(
        id=name, camera=camera, time=time, source="video", split=split, image=f"frames/{name}.png", mask=None,
        height=64, width=96, hash="0" * 16, origin="footage",
    )  # fmt: skip


def site_with(folder: Path, frames: list[Frame]) -> Site:
    init(folder, ("sky", "water"))
    site = Site.open(folder)
    site.save_frames(frames)
    return site


def test_a_camera_with_little_footage_still_gets_its_share() -> None:
    frames = [frame("busy", time) for time in range(1000)] + [frame("quiet", time) for time in range(10)]
    assert Counter(chosen.camera for chosen in spread(frames, 20, 0)) == {"busy": 10, "quiet": 10}


def test_what_a_small_camera_cannot_give_the_others_do() -> None:
    frames = [frame("a", time) for time in range(100)] + [frame("b", time) for time in range(3)]
    assert Counter(chosen.camera for chosen in spread(frames, 20, 0)) == {"a": 17, "b": 3}


def test_every_stretch_of_time_is_seen() -> None:
    times = [chosen.time for chosen in spread([frame("a", time) for time in range(640)], 64, 3)]
    assert [int(time) // 10 for time in times] == list(range(64))


@pytest.mark.parametrize("number", [1, 7, 30, 31, 500])
def test_no_frame_twice_and_never_more_than_there_are(number: int) -> None:
    frames = [frame("ab"[time % 2], time) for time in range(31)]
    chosen = spread(frames, number, 0)
    assert len(chosen) == len({one.id for one in chosen}) == min(number, 31)


def test_the_seed_decides() -> None:
    frames = [frame("a", time) for time in range(500)]
    assert spread(frames, 20, 1) == spread(list(reversed(frames)), 20, 1) != spread(frames, 20, 2)


def test_val_and_gate_never_calibrate(tmp_path: Path) -> None:
    splits: tuple[Split, ...] = ("val", "gate", "labelled", "unlabelled")
    site = site_with(tmp_path / "site", [frame("a", time, split) for split in splits for time in range(5)])
    chosen = calibration_frames(site, 8)
    assert Counter(one.split for one in chosen) == {"unlabelled": 5, "labelled": 3}
    assert {one.split for one in calibration_frames(site, 5)} == {"unlabelled"}


def test_a_site_with_nothing_to_calibrate_with_says_so(tmp_path: Path) -> None:
    site = site_with(tmp_path / "site", [frame("a", 0, "val")])
    with pytest.raises(DataError, match="edgeseg add footage"):
        calibration_frames(site, 8)
