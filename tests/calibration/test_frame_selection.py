"""Which frames calibrate: spread over cameras and time, from the right splits, the same for the
same seed.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.calibration.frame_selection import (
    FrameStatistics,
    Strategy,
    calibration_candidates,
    select_frames,
    spread_frames,
)
from edgeseg.config.template import create_site
from edgeseg.errors import DataError
from edgeseg.site import Frame, Site, Split


def frame(camera: str, time: float, split: Split = "unlabelled") -> Frame:
    name = f"{camera}-{time:g}-{split}"
    return Frame(
        id=name,
        camera=camera,
        time=time,
        source="video",
        split=split,
        image=f"frames/{name}.png",
        mask=None,
        height=64,
        width=96,
        hash="0" * 16,
        origin="footage",
    )


def site_with(folder: Path, frames: list[Frame]) -> Site:
    create_site(folder, ("sky", "water"))
    site = Site.open(folder)
    site.save_frames(frames)
    return site


def test_a_camera_with_little_footage_still_gets_its_share() -> None:
    frames = [frame("busy", time) for time in range(1000)] + [
        frame("quiet", time) for time in range(10)
    ]
    assert Counter(chosen.camera for chosen in spread_frames(frames, 20, 0)) == {
        "busy": 10,
        "quiet": 10,
    }


def test_what_a_small_camera_cannot_give_the_others_do() -> None:
    frames = [frame("a", time) for time in range(100)] + [frame("b", time) for time in range(3)]
    assert Counter(chosen.camera for chosen in spread_frames(frames, 20, 0)) == {"a": 17, "b": 3}


def test_every_stretch_of_time_is_seen() -> None:
    times = [
        chosen.time for chosen in spread_frames([frame("a", time) for time in range(640)], 64, 3)
    ]
    assert [int(time) // 10 for time in times] == list(range(64))


@pytest.mark.parametrize("number", [1, 7, 30, 31, 500])
def test_no_frame_twice_and_never_more_than_there_are(number: int) -> None:
    frames = [frame("ab"[time % 2], time) for time in range(31)]
    chosen = spread_frames(frames, number, 0)
    assert len(chosen) == len({one.id for one in chosen}) == min(number, 31)


def test_the_seed_decides() -> None:
    frames = [frame("a", time) for time in range(500)]
    assert (
        spread_frames(frames, 20, 1)
        == spread_frames(list(reversed(frames)), 20, 1)
        != spread_frames(frames, 20, 2)
    )


def test_val_and_gate_never_calibrate(tmp_path: Path) -> None:
    splits: tuple[Split, ...] = ("val", "gate", "labelled", "unlabelled")
    site = site_with(
        tmp_path / "site", [frame("a", time, split) for split in splits for time in range(5)]
    )
    assert Counter(one.split for one in calibration_candidates(site, 8)) == {
        "unlabelled": 5,
        "labelled": 3,
    }
    assert {one.split for one in calibration_candidates(site, 5)} == {"unlabelled"}


def test_a_site_with_nothing_to_calibrate_with_says_so(tmp_path: Path) -> None:
    site = site_with(tmp_path / "site", [frame("a", 0, "val")])
    with pytest.raises(DataError, match="edgeseg add footage"):
        calibration_candidates(site, 8)


def told(
    areas: NDArray[Any], scores: NDArray[Any], features: NDArray[Any]
) -> FrameStatistics:  # Any: of some float type
    return FrameStatistics(*(np.asarray(part, np.float32) for part in (features, areas, scores)))


FRAMES = [frame("a", time) for time in range(60)]
RANDOM = np.random.default_rng(0)
SCENES = np.repeat(np.arange(3), [54, 4, 2])  # day, dusk and night: near-copies within each
SEEN = told(
    np.where(np.arange(60)[:, None] == 17, [0.9, 0.0, 0.1], [0.7, 0.3, 0.0]),
    RANDOM.permutation(60) / 60,
    SCENES[:, None] * np.array([[5.0, -3.0]]) + RANDOM.normal(0, 0.05, (60, 2)),
)


def places(frames: list[Frame]) -> list[int]:
    return [int(one.time) for one in frames]


def test_kcentre_sees_every_scene_where_chance_misses_one() -> None:
    found = places(select_frames(FRAMES, 5, "kcentre", statistics=SEEN))
    assert set(SCENES[found]) == {0, 1, 2}
    missed = [
        set(SCENES[places(select_frames(FRAMES, 5, "random", seed=seed))]) != {0, 1, 2}
        for seed in range(20)
    ]
    assert sum(missed) > 10


def test_classes_finds_the_one_frame_that_shows_a_class() -> None:
    assert 17 in places(select_frames(FRAMES, 3, "classes", statistics=SEEN))


@pytest.mark.parametrize("strategy", ["spread", "random", "kcentre", "classes"])
@pytest.mark.parametrize("number", [1, 20, 60, 100])
def test_every_strategy_gives_as_many_frames_as_asked_once_each(
    strategy: Strategy, number: int
) -> None:
    found = select_frames(FRAMES, number, strategy, seed=1, statistics=SEEN)
    assert len(found) == len(set(places(found))) == min(number, 60) and places(found) == sorted(
        places(found)
    )
    assert found == select_frames(FRAMES, number, strategy, seed=1, statistics=SEEN)


def test_a_share_of_hard_frames_is_admixed() -> None:
    hardest = set(np.argsort(-SEEN.scores)[:3].tolist())
    found = places(select_frames(FRAMES, 12, "spread", statistics=SEEN, hard_share=0.25))
    assert hardest <= set(found) and len(found) == 12
    assert (
        set(places(select_frames(FRAMES, 3, "random", statistics=SEEN, hard_share=1.0))) == hardest
    )


def test_frames_that_look_alike_to_the_model_are_no_trouble() -> None:
    same = told(np.full((60, 2), 0.5), np.zeros(60), np.ones((60, 4)))
    strategies: tuple[Strategy, ...] = ("kcentre", "classes")
    for strategy in strategies:
        assert len(select_frames(FRAMES, 7, strategy, statistics=same)) == 7
