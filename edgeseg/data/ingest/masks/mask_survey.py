"""All masks of a set together: whether their ids are what the author meant.

One mask tells little. A set in which no mask holds 0 and the highest id is the number of classes
begins with 1; one that holds 0 and 255 alone is black and white. Both would train a model of
something else, so they are refused with the option that mends them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from edgeseg.config import SiteConfig
from edgeseg.data.ingest.masks.mask_advice import (
    black_and_white_reason,
    color_reason,
    first_id_reason,
    odd_black_and_white_reason,
    unknown_ids_reason,
)
from edgeseg.data.ingest.masks.mask_facts import MaskFacts, MaskKind
from edgeseg.data.ingest.masks.mask_rules import ParsedRules
from edgeseg.imaging.array_types import IGNORE

DOUBTFUL: tuple[MaskKind, ...] = ("gray", "index")  # nothing but ids says what pixels are
BARELY_CERTAIN: tuple[MaskKind, ...] = (*DOUBTFUL, "agree")  # black at 0 may be a coincidence
BY_ID: tuple[MaskKind, ...] = (*BARELY_CERTAIN, "order")
MOST_OWN_VALUES = 32  # unknown ids of one mask; more are shades of gray, not ids
BLENDED = (
    "holds more values than ids can be, so it is a picture in shades of gray, perhaps with blended "
    "edges; save masks without anti-aliasing, as PNG, and scale them by nearest neighbor"
)


class MaskSurvey:
    """The facts of all masks of a set, and what they say together."""

    def __init__(
        self,
        config: SiteConfig,
        rules: ParsedRules,
        facts: Iterable[MaskFacts] = (),
        *,
        has_first_class: bool = False,
    ) -> None:
        """Begin a set.

        Args:
            config: The classes.
            rules: What the user said about the masks.
            facts: Masks of the set.
            has_first_class: Masks of earlier sets show class 0, so one that does not is no wonder.
        """
        self._config, self._rules = config, rules
        self._facts = list(facts)
        self._has_first_class = has_first_class

    def add(self, facts: MaskFacts) -> None:
        """Take in a mask."""
        self._facts.append(facts)

    def faults(self) -> list[str]:
        """Return "file: reason" for each mask that the set must not be taken with."""
        return [*self._id_faults(), *self._color_faults(), *self._mixed_palettes()]

    def notes(self) -> list[str]:
        """Return sentences on how the masks were read, where that is no matter of course."""
        notes = []
        if by_color := sum(facts.kind == "color" for facts in self._facts):
            notes.append(
                f"{by_color} mask(s) are palette files in the colors of the classes but in another "
                "order; their colors were taken, not their indices"
            )
        if turned := sum(facts.turned for facts in self._facts):
            notes.append(
                f"{turned} mask(s) carry an EXIF turn and were turned by it, as viewers show them"
            )
        ids = self._open_ids(DOUBTFUL)
        if len(ids - {0, IGNORE}) > 1 and 0 not in ids and not self._says_where_ids_begin():
            notes.append(
                f"no mask of these holds id 0 ({self._config.class_names[0]}); if their ids begin "
                "with 1, add them again with --first-id 1"
            )
        return notes

    def _id_faults(self) -> list[str]:
        faulty = [facts for facts in self._facts if facts.unknown_ids]
        if any(len(facts.unknown_ids) > MOST_OWN_VALUES for facts in faulty):
            return [f"{facts.path}: {BLENDED}" for facts in faulty]
        names = self._config.class_names
        if faulty:
            unknown = sorted({value for facts in faulty for value in facts.unknown_ids})
            reason = unknown_ids_reason(self._open_ids(), unknown, names, self._rules)
            return [f"{facts.path}: {reason}" for facts in faulty]
        if not self._rules.class_of_id:
            reason = black_and_white_reason(self._open_ids(BARELY_CERTAIN), names)
            if reason:
                return self._of_kinds(BARELY_CERTAIN, reason)
            if odd := self._odd_black_and_white():
                return [f"{facts.path}: {odd_black_and_white_reason(names)}" for facts in odd]
        if self._has_first_class or self._says_where_ids_begin():
            return []
        return self._of_kinds(DOUBTFUL, first_id_reason(self._open_ids(DOUBTFUL), names))

    def _odd_black_and_white(self) -> list[MaskFacts]:
        """Return masks of 0 and 255 among those of 0 and 1; none where 1 and 255 meet in a mask."""
        by_ids = [facts for facts in self._facts if facts.kind in BARELY_CERTAIN]
        if len(self._config.classes) != 2 or any({1, IGNORE} <= facts.ids for facts in by_ids):
            return []
        if not any(1 in facts.ids for facts in by_ids):
            return []
        return [facts for facts in by_ids if facts.ids == {0, IGNORE}]

    def _of_kinds(self, kinds: Collection[MaskKind], reason: str) -> list[str]:
        """Return a fault for each mask of some kinds; none without a reason."""
        return [
            f"{facts.path}: {reason}" for facts in self._facts if reason and facts.kind in kinds
        ]

    def _color_faults(self) -> list[str]:
        faulty = [facts for facts in self._facts if facts.unknown_colors]
        pixels: Counter[int] = Counter()
        for facts in faulty:
            pixels.update(facts.unknown_colors)
        reason = color_reason(pixels, self._config.class_names)
        return [f"{facts.path}: {reason}" for facts in faulty]

    def _mixed_palettes(self) -> list[str]:
        """Return a fault for each palette file by index where others count by color."""
        by_color = [facts for facts in self._facts if facts.kind == "color"]
        if not by_color or self._rules.palette != "auto":
            return []
        return [
            f"{facts.path}: is a palette file whose colors are of no class, while "
            f"{by_color[0].path.name} has those of the classes in another order than their ids, so "
            "what the indices mean is unclear; add them apart, or say which counts with "
            "--palette index or --palette color"
            for facts in self._facts
            if facts.kind == "index"
        ]

    def _open_ids(self, kinds: Collection[MaskKind] = BY_ID) -> set[int]:
        """Return the ids in masks of some kinds that no option gives a meaning, 255 among them."""
        ids = {value for facts in self._facts if facts.kind in kinds for value in facts.ids}
        return ids - self._rules.class_of_id.keys()

    def _says_where_ids_begin(self) -> bool:
        return self._rules.first_id is not None or bool(self._rules.class_of_id.keys() - {IGNORE})
