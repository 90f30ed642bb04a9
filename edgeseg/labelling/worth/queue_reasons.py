"""Why a frame is next, in a person's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.labelling.worth.label_ranking import Group, LabelPool, RankedFrame

UNSURE = 0.7  # share of frames that the model must be surer of, to be called unsure
CONTRADICTION = 0.02  # share of pixels that are another class in the mirror
MOST_CLASSES = 2  # named in one reason
SMALL = 0.002  # share of a frame below which a class is not named
UNLIKE = 0.1  # likeness to the nearest label below which there is nothing like it
MOST_REASONS = 3


@dataclass(frozen=True)
class LabelFacts:
    """What is labelled, as reasons need it.

    Attributes:
        names: The classes.
        frames: Number of labelled frames.
        showing: (C,) number of them that show each class.
        groups: All groups that labelled frames belong to, or frames before this one.
    """

    names: Sequence[str]
    frames: int
    showing: Sequence[int]
    groups: set[Group]


def reasons_for(ranked: RankedFrame, pool: LabelPool, facts: LabelFacts) -> tuple[str, ...]:
    """Return why a frame stands where it does, the weightiest reason first; at least one."""
    weighted = [
        (ranked.parts.get("doubt", 0), _doubt_reason(ranked, pool, facts)),
        (ranked.parts.get("rare", 0), _rare_reason(ranked, pool, facts)),
        (ranked.parts["balance"], _balance_reason(ranked, pool, facts)),
        (ranked.parts["coverage"], _coverage_reason(ranked, facts)),
    ]
    told = [reason for _, reason in sorted(weighted, key=lambda pair: -pair[0]) if reason]
    if not told:
        told = ["among the frames that are left it adds most"]
    return tuple(told[:MOST_REASONS])


def _doubt_reason(ranked: RankedFrame, pool: LabelPool, facts: LabelFacts) -> str:
    if pool.doubts is None or ranked.unsure_rank < UNSURE:
        return ""
    unsure = pool.doubts.unsure[ranked.place]
    worst = [index for index in np.argsort(-unsure)[:MOST_CLASSES] if unsure[index] > 0.15]
    names = ", ".join(facts.names[index] for index in worst)
    if pool.doubts.contradiction[ranked.place] > CONTRADICTION:
        return f"least sure about: {names}; in a mirror the model contradicts itself"
    return f"least sure about: {names}"


def _rare_reason(ranked: RankedFrame, pool: LabelPool, facts: LabelFacts) -> str:
    if pool.doubts is None:
        return ""
    few = max(2, facts.frames // 4)
    areas = pool.doubts.areas[ranked.place]
    rare = [
        index
        for index in np.argsort(facts.showing, kind="stable")
        if facts.showing[index] <= few and areas[index] > SMALL
    ][:MOST_CLASSES]
    if not rare:
        return ""
    names = " and ".join(facts.names[index] for index in rare)
    how = (
        "no label shows" if max(facts.showing[index] for index in rare) == 0 else "few labels show"
    )
    return f"seems to show {names}, which {how}"


def _balance_reason(ranked: RankedFrame, pool: LabelPool, facts: LabelFacts) -> str:
    groups = facts.groups.union(*pool.groups)
    cameras = {group for group in groups if group[0] == "camera"}
    for group in pool.groups[ranked.place]:
        is_only_one = group[0] == "camera" and len(cameras) == 1
        if group not in facts.groups and not is_only_one:
            return f"no label of {group_words(group)} yet"
    return ""


def group_words(group: Group) -> str:
    """Return a group in words: ("camera", "b", "dark") is "camera b in the dark"."""
    kind, *names = group
    if kind == "light":
        return f"camera {names[0]} {'in the dark' if names[1] == 'dark' else 'in daylight'}"
    if kind == "hours":
        return f"camera {names[0]} between {names[1]} h UTC"
    return f"{kind} {names[-1]}"


def _coverage_reason(ranked: RankedFrame, facts: LabelFacts) -> str:
    unlike = ranked.like_labelled < UNLIKE and facts.frames > 0
    alike = f"{ranked.stands_for - 1} unlabelled frames look like it"
    if ranked.stands_for > 2:
        return f"nothing like it is labelled yet, and {alike}" if unlike else alike
    return "nothing like it is labelled yet" if unlike else ""
