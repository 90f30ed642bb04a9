"""What a user says about masks: which ids and colors stand for which class.

--map 255=1             id 255 is class 1
--map 7=ignore          id 7 means "not labelled", as does --ignore 7
--map "#ffffff=water"   this color is the class of that name
--first-id 1            ids begin with 1: what is not mapped is one less
--palette index         palette files are meant by their indices, whatever their colors
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from edgeseg.config import SiteConfig
from edgeseg.errors import ConfigError
from edgeseg.imaging.array_types import IGNORE

IGNORE_WORD = "ignore"
PALETTE_CHOICES = ("auto", "index", "color")
PaletteChoice = Literal["auto", "index", "color"]


@dataclass(frozen=True, kw_only=True)
class MaskRules:
    """The options about masks, as they were typed.

    Attributes:
        ignore: Ids that mean "not labelled", beside 255.
        mapping: Texts "OLD=NEW": OLD is an id or a color "#rrggbb", NEW the id or the name of a
            class, or "ignore".
        first_id: The id of the first class in the masks; 0 if left out, unless the masks look as
            if they began with 1.
        palette: Whether palette files are meant by index or by color; "auto" looks at them.
    """

    ignore: Sequence[int] = ()
    mapping: Sequence[str] = ()
    first_id: int | None = None
    palette: str = "auto"


@dataclass(frozen=True, kw_only=True)
class ParsedRules:
    """The options about masks, checked against the classes of a site.

    Attributes:
        class_of_id: New ids by the ids that were named, `IGNORE` for "not labelled".
        class_of_color: Likewise by color, 0xRRGGBB.
        first_id: The id of the first class, None where nothing was said.
        palette: How palette files are meant.
    """

    class_of_id: dict[int, int] = field(default_factory=dict)
    class_of_color: dict[int, int] = field(default_factory=dict)
    first_id: int | None = None
    palette: PaletteChoice = "auto"

    def new_ids(self, classes: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the class of each id of a mask, (256,); -1 for an id of no class."""
        table = np.arange(256) - (self.first_id or 0)
        table[(table < 0) | (table >= classes)] = -1
        table[IGNORE] = IGNORE
        for old, new in self.class_of_id.items():
            table[old] = new
        return table


def parse_rules(rules: MaskRules, config: SiteConfig) -> ParsedRules:
    """Check the options about masks.

    Raises:
        ConfigError: One of them is impossible, or two disagree.
    """
    if rules.palette not in PALETTE_CHOICES:
        raise ConfigError(f"--palette {rules.palette!r} is unknown; give index, color or auto")
    if rules.first_id is not None and not 0 <= rules.first_id <= IGNORE - len(config.classes):
        raise ConfigError(
            f"--first-id {rules.first_id} is no id of a class in an 8-bit mask; give 0 or 1"
        )
    class_of_id: dict[int, int] = {}
    class_of_color: dict[int, int] = {}
    for index in rules.ignore:
        if not 0 <= index <= IGNORE:
            raise ConfigError(
                f"--ignore {index} is no index of an 8-bit mask; give numbers from 0 to 255"
            )
        class_of_id[index] = IGNORE
    for text in rules.mapping:
        old, equals, new = text.partition("=")
        if not equals:
            raise ConfigError(f"--map {text!r} is not OLD=NEW; write it like 255=1 or 7=ignore")
        value = _class_id(new.strip(), text, config)
        color = parse_color(old.strip())
        table, key = (
            (class_of_id, _mask_id(old, text)) if color is None else (class_of_color, color)
        )
        if table.setdefault(key, value) != value:
            raise ConfigError(f"two options give {old.strip()} two meanings; keep one of them")
    return ParsedRules(
        class_of_id=class_of_id,
        class_of_color=class_of_color,
        first_id=rules.first_id,
        palette=rules.palette,  # type: ignore[arg-type]  # checked above
    )


def parse_color(text: str) -> int | None:
    """Return "#rrggbb" as the number 0xRRGGBB, None if the text is no color."""
    return int(text[1:], 16) if re.fullmatch(r"#[0-9a-fA-F]{6}", text) else None


def _mask_id(text: str, option: str) -> int:
    number = int(text) if text.strip().isdecimal() else -1
    if not 0 <= number <= IGNORE:
        raise ConfigError(
            f"--map {option!r} does not begin with an id from 0 to 255 or a color; "
            'write it like 255=1, 7=ignore or "#ffffff=1"'
        )
    return number


def _class_id(text: str, option: str, config: SiteConfig) -> int:
    """Return the class that a text names by id or name, `IGNORE` for "ignore" and 255."""
    if text.lower() == IGNORE_WORD or text == str(IGNORE):
        return IGNORE
    if text.isdecimal() and int(text) < len(config.classes):
        return int(text)
    if text in config.class_names:
        return config.class_names.index(text)
    known = ", ".join(f"{index} ({name})" for index, name in enumerate(config.class_names[:8]))
    more = ", ..." if len(config.classes) > 8 else ""
    raise ConfigError(
        f"--map {option!r} ends in no class of the site; give one of {known}{more}, or ignore"
    )
