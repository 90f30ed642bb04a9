"""What was found in one mask file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MaskKind = Literal["gray", "order", "agree", "index", "color", "rgb"]


@dataclass(frozen=True, kw_only=True)
class MaskFacts:
    """What was found in one mask file, for the survey of the whole set.

    Attributes:
        path: The file.
        kind: "gray"; a palette with all classes in their order ("order"), one that says the same
            by index and color where pixels use it ("agree"), one that was read by index or by
            color; or "rgb".
        ids: The indices or gray values that occur; none in a mask that was read by color.
        unknown_ids: Those of no class.
        unknown_colors: Pixels by color of no class, 0xRRGGBB.
        turned: It was turned by its own EXIF tag.
    """

    path: Path
    kind: MaskKind
    ids: frozenset[int] = frozenset()
    unknown_ids: tuple[int, ...] = ()
    unknown_colors: dict[int, int] = field(default_factory=dict)
    turned: bool = False
