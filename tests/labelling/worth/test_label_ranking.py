"""The order of labels on points whose best order is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.labelling.worth.label_ranking import (
    Floats,
    LabelPool,
    Moment,
    likenesses,
    rank_frames,
    time_likenesses,
)
from edgeseg.labelling.worth.model_doubts import ModelDoubts

CAMERA = (("camera", "a"),)


def clusters(*sizes: int) -> Floats:
    """Tight groups of so many points, far apart."""
    random = np.random.default_rng(0)
    centers = random.normal(0, 10, (len(sizes), 6))
    groups = [center + random.normal(0, 0.3, (size, 6)) for center, size in zip(centers, sizes)]
    return np.concatenate(groups).astype(np.float32)


def pool(features: Floats, labelled: Floats | None = None, **more: object) -> LabelPool:
    labelled = np.zeros((0, features.shape[1]), np.float32) if labelled is None else labelled
    groups = more.pop("groups", [CAMERA] * len(features))
    more.setdefault("class_areas", np.ones(2, np.float32))
    labelled_groups = [CAMERA] * len(labelled)
    return LabelPool(features, labelled, groups, labelled_groups, **more)  # type: ignore[arg-type]


def doubts(number: int, classes: int = 2, **figures: Floats) -> ModelDoubts:
    flat = np.zeros(number, np.float32)
    even = np.full((number, classes), 1 / classes, np.float32)
    given = {"entropy": flat, "unknown": flat, "contradiction": flat, "areas": even, "unsure": even}
    return ModelDoubts(**{**given, "features": even, **figures})


def group_of(place: int, *sizes: int) -> int:
    return int(np.searchsorted(np.cumsum(sizes), place, side="right"))


def test_the_first_labels_are_typical_and_of_different_scenes() -> None:
    sizes = (30, 20, 10, 1)
    ranked = rank_frames(pool(clusters(*sizes)), 3)
    # The odd one, with which k-center would begin, is not among them.
    assert [group_of(entry.place, *sizes) for entry in ranked] == [0, 1, 2]
    values = [entry.value for entry in ranked]
    assert values == sorted(values, reverse=True)
    assert ranked[0].stands_for > ranked[2].stands_for > 1


def test_ten_copies_of_one_moment_are_queued_once() -> None:
    features = clusters(10, 1, 1, 1)
    features[:10] = features[0]
    chosen = [entry.place for entry in rank_frames(pool(features), 4)]
    assert sum(place < 10 for place in chosen) == 1


def test_what_is_labelled_already_comes_last() -> None:
    features = clusters(12, 12)
    ranked = rank_frames(pool(features, features[:2]), 1)
    assert ranked[0].place >= 12 and ranked[0].like_labelled < 0.1


def test_doubts_lead_once_there_are_labels() -> None:
    features = clusters(10, 10, 10)
    unsure = np.array([0] * 10 + [0] * 10 + [1] * 10, np.float32)
    labelled = np.repeat(clusters(1, 1, 1) + 100, 20, 0)
    known = doubts(30, entropy=unsure, unknown=unsure, contradiction=unsure)
    assert rank_frames(pool(features, labelled, doubts=known), 1)[0].place >= 20


def test_a_class_that_few_labels_show_pulls_its_frames_forward() -> None:
    features = clusters(10, 10)
    areas = np.tile(np.array([[1.0, 0.0]], np.float32), (20, 1))
    areas[13] = [0.9, 0.1]
    shown = np.array([5.0, 0.0], np.float32)
    known = doubts(20, areas=areas)
    ranked = rank_frames(pool(features, features[:1], doubts=known, class_areas=shown), 1)
    assert ranked[0].place == 13


def test_a_camera_without_labels_comes_before_more_of_another() -> None:
    features = clusters(10, 10)
    groups = [(("camera", "b" if place == 4 else "a"),) for place in range(20)]
    first = rank_frames(pool(features, np.repeat(features[:1] + 50, 9, 0), groups=groups), 1)
    assert first[0].place == 4 and first[0].parts["balance"] > 0


def test_likeness_is_one_for_the_same_and_fades() -> None:
    features = clusters(20, 20)
    among, to_labelled = likenesses(features, features[:1])
    assert np.allclose(np.diag(among), 1, atol=1e-3) and to_labelled.shape == (40, 1)
    assert among[:20, :20].mean() > 100 * among[:20, 20:].mean()


@pytest.mark.parametrize("number", [1, 2])
def test_pools_of_one_or_two_frames_are_ranked(number: int) -> None:
    ranked = rank_frames(pool(np.ones((number, 4), np.float32)), 9)
    assert sorted(entry.place for entry in ranked) == list(range(number))


def test_how_near_frames_are_in_time() -> None:
    """A hundred frames, one a second: those 5 s apart are half as near as the same moment."""
    drive, other = ("a", "drive"), ("a", "other")
    own = [Moment(drive, float(second)) for second in range(101)]
    among, to_others = time_likenesses(own, [Moment(drive, 5.0), Moment(other, 0.0)])
    half = 1 / (1 + 5 / (100 / (2 * 101**0.5)))
    assert half == pytest.approx(0.5, abs=0.01)
    assert among[0, 5] == to_others[0, 0] == pytest.approx(half)
    assert among[3, 3] == 1 and (to_others[:, 1] == 0).all()
    still, _ = time_likenesses([Moment(drive, 0.0)] * 2, [])
    assert (still == 1).all()


def test_frames_that_look_alike_are_spread_over_time() -> None:
    alike = np.zeros((100, 6), np.float32)
    moments = [Moment(("a", "drive"), float(second)) for second in range(100)]
    chosen = sorted(entry.place for entry in rank_frames(pool(alike, moments=moments), 4))
    assert min(np.diff(chosen)) > 15
    labelled = [Moment(("a", "drive"), 90.0)]
    given = pool(alike, alike[:1], moments=moments, labelled_moments=labelled)
    assert abs(rank_frames(given, 1)[0].place - 90) > 30
