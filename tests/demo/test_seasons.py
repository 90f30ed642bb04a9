"""The moments that are filmed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgeseg.demo.renderer.lighting import Conditions
from edgeseg.demo.seasons import autumn, mornings, summer


def _moments(kind: str) -> list[Conditions]:
    makers = {"mornings": mornings, "summer": summer, "autumn": autumn}
    moments: Iterator[Conditions] = makers[kind](np.random.default_rng(1), 60)
    return list(moments)


def test_labels_come_from_fair_mornings_and_footage_from_all_of_summer() -> None:
    labelled, footage = _moments("mornings"), _moments("summer")
    assert all(
        7 <= moment.hour <= 9.5 and not moment.rain and not moment.fog for moment in labelled
    )
    assert (
        min(moment.hour for moment in footage) < 6 and max(moment.hour for moment in footage) > 21
    )
    assert any(moment.rain > 0.2 for moment in footage) and any(
        moment.fog > 0.2 for moment in footage
    )
    assert np.std([m.level for m in footage]) > 3 * np.std([m.level for m in labelled])


def test_autumn_is_another_world() -> None:
    footage, later = _moments("summer"), _moments("autumn")
    assert min(moment.day for moment in later) > max(moment.day for moment in footage) + 30
    assert min(moment.turbidity for moment in later) > np.mean(
        [moment.turbidity for moment in footage]
    )
    assert all(moment.dirt > 0 for moment in later) and not any(moment.dirt for moment in footage)
    assert np.mean([m.level for m in later]) > 0.6 + np.mean([m.level for m in footage])


def test_the_frames_of_a_day_share_its_weather() -> None:
    days: dict[float, set[float]] = {}
    for moment in _moments("summer"):
        days.setdefault(moment.day, set()).add(moment.cloud)
    assert len(days) == 6 and all(len(clouds) == 1 for clouds in days.values())
    assert len({next(iter(clouds)) for clouds in days.values()}) == 6
