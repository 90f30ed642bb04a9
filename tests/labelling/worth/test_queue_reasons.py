"""Reasons in a person's words, the weightiest first."""

from __future__ import annotations

import numpy as np

from edgeseg.labelling.worth.label_ranking import Group, LabelPool, RankedFrame
from edgeseg.labelling.worth.model_doubts import Floats, ModelDoubts
from edgeseg.labelling.worth.queue_reasons import LabelFacts, reasons_for

NAMES = ("road", "car", "pole")
PARTS = {"coverage": 0.1, "doubt": 0.0, "rare": 0.0, "balance": 0.0}


def row(*values: float) -> Floats:
    return np.array([values], np.float32)


def pool(*groups: Group, contradiction: float = 0.0, model: bool = True) -> LabelPool:
    """One frame, mostly road, unsure about cars, with a little of a pole."""
    doubts = ModelDoubts(
        entropy=np.ones(1, np.float32),
        unknown=np.ones(1, np.float32),
        contradiction=np.array([contradiction], np.float32),
        areas=row(0.9, 0.09, 0.01),
        unsure=row(0.3, 0.65, 0.05),
        features=row(0.0),
    )
    return LabelPool(row(0.0), row(0.0), [groups], [()], doubts if model else None)


def why(
    the_pool: LabelPool,
    *,
    parts: dict[str, float] | None = None,
    showing: tuple[int, ...] = (20, 20, 20),
    unsure_rank: float = 0.0,
    like_labelled: float = 0.9,
    stands_for: int = 1,
    groups: set[Group] | None = None,
) -> tuple[str, ...]:
    frame = RankedFrame(0, 1.0, PARTS | (parts or {}), like_labelled, stands_for, unsure_rank)
    return reasons_for(frame, the_pool, LabelFacts(NAMES, 20, showing, groups or set()))


def test_doubts_name_the_classes_they_lie_in() -> None:
    assert why(pool(), unsure_rank=0.9) == ("least sure about: car, road",)
    contradicted = why(pool(contradiction=0.1), unsure_rank=0.9)
    assert contradicted == (
        "least sure about: car, road; in a mirror the model contradicts itself",
    )


def test_rare_classes_are_named_where_the_model_sees_them() -> None:
    assert why(pool(), showing=(20, 20, 2)) == ("seems to show pole, which few labels show",)
    assert why(pool(), showing=(20, 20, 0)) == ("seems to show pole, which no label shows",)


def test_the_first_group_without_a_label_is_named() -> None:
    dark = pool(("camera", "b"), ("light", "b", "dark"))
    assert why(dark, groups={("camera", "a")}) == ("no label of camera b yet",)
    assert why(dark) == ("no label of camera b in the dark yet",)  # it is the only camera
    assert why(dark, groups={("camera", "b")}) == ("no label of camera b in the dark yet",)
    hours = pool(("hours", "b", "18 and 24"))
    assert why(hours) == ("no label of camera b between 18 and 24 h UTC yet",)


def test_novelty_and_the_number_of_frames_behind_it() -> None:
    alike = "11 unlabelled frames look like it"
    assert why(pool(), stands_for=12) == (alike,)
    assert why(pool(), stands_for=12, like_labelled=0.0) == (
        f"nothing like it is labelled yet, and {alike}",
    )
    assert why(pool(), like_labelled=0.0) == ("nothing like it is labelled yet",)


def test_the_weightiest_reason_comes_first_and_there_is_always_one() -> None:
    told = why(pool(), unsure_rank=0.9, stands_for=9, parts={"doubt": 0.5})
    assert told[0].startswith("least sure about") and len(told) == 2
    assert len(why(pool(model=False))) == 1
