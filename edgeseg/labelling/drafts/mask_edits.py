"""A mask being edited: steps that replace the ids of a box, with undo and redo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.labelling.drafts.mask_runs import decode_text, encode_text

MOST_STEPS = 400  # that can be undone, as in the page's mask.js; older ones stay in the mask


@dataclass(frozen=True)
class Box:
    """A part of a mask: its left upper pixel and its size."""

    x: int
    y: int
    width: int
    height: int

    def slices(self) -> tuple[slice, slice]:
        """Return the rows and columns of the part."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


@dataclass(frozen=True)
class Step:
    """One edit.

    Attributes:
        box: The part that it replaces.
        before, after: What the part holds before and after, as runs in base64.
        tool: What it was made with.
        joined: Whether it goes on with the step before it, as a long stroke that is kept in parts;
            both are taken back together.
    """

    box: Box
    before: str
    after: str
    tool: str
    joined: bool = False


class EditedMask:
    """A mask with the steps that led to it."""

    def __init__(self, mask: Mask, classes: int) -> None:
        """Begin with a mask.

        Args:
            mask: (H, W) class ids; it is copied.
            classes: Number of classes; other ids, but for `IGNORE`, are refused.
        """
        self.mask = mask.copy()
        self.start = mask.copy()
        self.undo_steps: list[Step] = []
        self.redo_steps: list[Step] = []
        self._classes = classes

    @property
    def changed_share(self) -> float:
        """The share of the pixels that differ from the mask that it began with."""
        return float(np.mean(self.mask != self.start))

    def step(self, box: Box, after: str, tool: str, *, joined: bool = False) -> Step:
        """Return the step that would put `after` into the box; nothing changes.

        Raises:
            DataError: The box leads out of the mask, or the runs do not fill it or hold an id of
                no class.
        """
        height, width = self.mask.shape
        inside = 0 <= box.x < box.x + box.width <= width
        if not (inside and 0 <= box.y < box.y + box.height <= height):
            raise DataError(f"the step leads out of the {width}x{height} mask; load the page again")
        ids = decode_text(after, box.height, box.width)
        foreign = ids[(ids >= self._classes) & (ids != IGNORE)]
        if foreign.size:
            raise DataError(
                f"the step holds class {int(foreign[0])} but the site has {self._classes} classes; "
                "load the page again"
            )
        return Step(box, encode_text(self.mask[box.slices()]), after, tool, joined)

    def apply(self, step: Step) -> None:
        """Put a step of `step` into the mask; what was undone before it is forgotten."""
        self._put(step.box, step.after)
        self.undo_steps.append(step)
        first = max(0, len(self.undo_steps) - MOST_STEPS)
        while first > 0 and self.undo_steps[first].joined:
            first -= 1  # a long stroke is forgotten as a whole or not at all
        del self.undo_steps[:first]
        self.redo_steps = []

    def undo(self) -> None:
        """Take the last step back, with those that it is joined to.

        Raises:
            DataError: There is none.
        """
        if not self.undo_steps:
            raise DataError("there is no step to take back; load the page again")
        goes_on = True
        while goes_on and self.undo_steps:
            step = self.undo_steps.pop()
            self._put(step.box, step.before)
            self.redo_steps.append(step)
            goes_on = step.joined

    def redo(self) -> None:
        """Do the step again that was taken back last, with those that are joined to it.

        Raises:
            DataError: There is none.
        """
        if not self.redo_steps:
            raise DataError("there is no step to do again; load the page again")
        goes_on = True
        while goes_on:
            step = self.redo_steps.pop()
            self._put(step.box, step.after)
            self.undo_steps.append(step)
            goes_on = bool(self.redo_steps) and self.redo_steps[-1].joined

    def _put(self, box: Box, runs: str) -> None:
        self.mask[box.slices()] = decode_text(runs, box.height, box.width)
