"""The mask files that `edgeseg add labels` accepts, and how they become class ids.

By the kind of the file:

    gray, 1 to 8 bits        the values are class ids, also beside an opaque alpha channel
    palette, 1 to 8 bits     the indices are class ids, unless their colors are those of the
                             classes in another order: then the colors count (mask_palette.py)
    RGB, also with alpha     the colors are those of the classes in edgeseg.toml

Class id 255, and what the options or `data.ignore_colors` name, means "not labelled". Refused with
a reason are: other formats, 16 bits, transparency, unknown ids and unknown colors.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeseg.config import SiteConfig
from edgeseg.data.ingest.masks.mask_facts import MaskFacts, MaskKind
from edgeseg.data.ingest.masks.mask_palette import UNKNOWN, palette_meaning
from edgeseg.data.ingest.masks.mask_rules import MaskRules, parse_color, parse_rules
from edgeseg.data.ingest.masks.mask_survey import MaskSurvey
from edgeseg.data.ingest.masks.raw_mask import NO_ENTRY, RawMask, open_raw_mask
from edgeseg.errors import ConfigError, DataError
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.imaging.palette import distinct_palette

NO_CLASS = 254  # while a mask is looked up: neither a class, which end at 63, nor "not labelled"


class MaskReader:
    """Reads mask files of one site into class ids."""

    def __init__(self, config: SiteConfig, rules: MaskRules | None = None) -> None:
        """Prepare for the classes and colors of `config`.

        Args:
            rules: What the user said about the masks.

        Raises:
            ConfigError: `data.ignore_colors` holds what is no color, or the color of a class; or
                a rule is impossible.
        """
        self.config = config
        self.rules = parse_rules(rules or MaskRules(), config)
        self._classes = len(config.classes)
        self._class_of_color = {
            red << 16 | green << 8 | blue: class_id
            for class_id, (red, green, blue) in enumerate(config.palette)
        }
        ignored = {_ignored_color(text, config): IGNORE for text in config.data.ignore_colors}
        self._class_of_color |= ignored | self.rules.class_of_color
        new_ids = self.rules.new_ids(self._classes)
        self._new_ids = np.where(new_ids < 0, NO_CLASS, new_ids).astype(np.uint8)

    def read(self, path: Path) -> Mask:
        """Read a mask file, (H, W) uint8 class ids, 255 = not labelled.

        Raises:
            DataError: "file: reason"; unreadable, no PNG, of an unusable mode, or with an unknown
                id or color.
        """
        mask, facts = self.examine(path)
        if facts.unknown_ids or facts.unknown_colors:
            raise DataError(MaskSurvey(self.config, self.rules, [facts]).faults()[0])
        return mask

    def examine(self, path: Path) -> tuple[Mask, MaskFacts]:
        """Read a mask file in which ids and colors of no class may occur.

        Returns:
            The mask, (H, W) uint8, of use only if nothing in it is unknown; and what was found.

        Raises:
            DataError: "file: reason"; unreadable, no PNG, of an unusable mode, or a palette of
                unclear meaning.
        """
        raw = open_raw_mask(path)
        if raw.ids is None:
            assert raw.colors is not None
            return self._by_color(raw.colors, path, "rgb", turned=raw.turned)
        used = np.flatnonzero(np.bincount(raw.ids.ravel(), minlength=256))
        if raw.palette is None:
            return self._by_index(raw.ids, used, path, "gray", turned=raw.turned)
        kind, class_of_index = self._palette_kind(raw, used, path)
        if kind != "color":
            return self._by_index(raw.ids, used, path, kind, turned=raw.turned)
        unknown = {
            int(raw.palette[index]): int((raw.ids == index).sum())
            for index in used
            if class_of_index[index] == UNKNOWN and index != IGNORE
        }
        table = np.where(class_of_index == UNKNOWN, IGNORE, class_of_index).astype(np.uint8)
        facts = MaskFacts(path=path, kind=kind, unknown_colors=unknown, turned=raw.turned)
        return table[raw.ids], facts

    def _by_index(
        self, ids: Mask, used: NDArray[np.int64], path: Path, kind: MaskKind, *, turned: bool
    ) -> tuple[Mask, MaskFacts]:
        facts = MaskFacts(
            path=path,
            kind=kind,
            ids=frozenset(used.tolist()),
            unknown_ids=tuple(used[self._new_ids[used] == NO_CLASS].tolist()),
            unknown_colors={},
            turned=turned,
        )
        return self._new_ids[ids], facts

    def _by_color(
        self, colors: NDArray[np.uint32], path: Path, kind: MaskKind, *, turned: bool
    ) -> tuple[Mask, MaskFacts]:
        """Look up the class of every color, (H, W) 0xRRGGBB."""
        mask = self._color_table[colors]
        is_unknown = mask == NO_CLASS
        unknown: dict[int, int] = {}
        if is_unknown.any():
            values, counts = np.unique(colors[is_unknown], return_counts=True)
            unknown = dict(zip(values.tolist(), counts.tolist()))
        return mask, MaskFacts(path=path, kind=kind, unknown_colors=unknown, turned=turned)

    def _palette_kind(
        self, raw: RawMask, used: NDArray[np.int64], path: Path
    ) -> tuple[Literal["order", "agree", "index", "color"], NDArray[np.int64]]:
        """Return how a palette file is meant, and the class of each index by its color.

        Raises:
            DataError: "file: reason"; it is unclear.
        """
        assert raw.palette is not None and raw.transparent is not None
        class_of_index = self._classes_of(raw.palette, used)
        choice = self.rules.palette
        if choice != "auto":
            return choice, class_of_index
        # An index that an option names is an id, whatever color fills its place in the palette.
        named = np.isin(used, list(self.rules.class_of_id))
        used = used if named.all() else used[~named]
        shades = used * 0x010101  # index 2 in the gray #020202
        is_ramp = bool((raw.palette[used] == shades).all())
        meaning = palette_meaning(used, class_of_index, self._classes, is_ramp=is_ramp)
        if meaning.kind == "unclear":
            raise DataError(self._unclear(raw, meaning.odd, class_of_index, path))
        if meaning.kind == "color" and raw.transparent[used].any():
            raise DataError(
                f"{path}: is transparent in places and its palette is not in the order of the "
                "classes, so what it means is unclear; save it without transparency"
            )
        if meaning.kind == "color" and (self.rules.class_of_id or self.rules.first_id):
            raise DataError(
                f"{path}: has a palette of the site's colors in another order, so that options "
                "about ids may not be meant for it; add --palette index, or leave the options out"
            )
        return meaning.kind, class_of_index

    def _classes_of(self, palette: NDArray[np.int64], used: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the class of each index by its color, (256,), `UNKNOWN` for a color of none.

        A mask that uses nothing but the colors that `edgeseg log export` takes outside of a site
        has those.
        """
        by_site = _look_up(palette, self._class_of_color)
        own = _look_up(palette, self._own_colors)
        judged = used[used != IGNORE]
        if (by_site[judged] == UNKNOWN).any() and (own[judged] != UNKNOWN).all():
            return own
        return by_site

    def _unclear(
        self, raw: RawMask, odd: int, class_of_index: NDArray[np.int64], path: Path
    ) -> str:
        assert raw.palette is not None
        color = f"#{raw.palette[odd]:06x}"
        by_color = int(class_of_index[odd])
        of_class = (
            "not labelled" if by_color == IGNORE else f"class {self.config.class_names[by_color]}"
        )
        meant = "means not labelled" if odd == IGNORE else "may be the id"
        return (
            f"{path}: is a palette file of unclear meaning: index {odd} {meant}, but its color "
            f"{color} is that of {of_class}; say which counts with --palette index or "
            "--palette color"
        )

    @cached_property
    def _color_table(self) -> NDArray[np.uint8]:
        """The class id of each of the 2**24 colors, by its number 0xRRGGBB."""
        table = np.full(1 << 24, NO_CLASS, np.uint8)
        table[list(self._class_of_color)] = list(self._class_of_color.values())
        return table

    @cached_property
    def _own_colors(self) -> dict[int, int]:
        colors = distinct_palette()[: self._classes]
        return {
            red << 16 | green << 8 | blue: class_id
            for class_id, (red, green, blue) in enumerate(colors)
        }


def read_mask_file(path: Path, config: SiteConfig, rules: MaskRules | None = None) -> Mask:
    """Read one mask file as class ids; for many, keep a `MaskReader`.

    Raises:
        ConfigError, DataError: As `MaskReader`.
    """
    return MaskReader(config, rules).read(path)


def _look_up(palette: NDArray[np.int64], class_of_color: dict[int, int]) -> NDArray[np.int64]:
    return np.array(
        [
            UNKNOWN if color == NO_ENTRY else class_of_color.get(int(color), UNKNOWN)
            for color in palette
        ],
        np.int64,
    )


def _ignored_color(text: str, config: SiteConfig) -> int:
    """Return a color of `data.ignore_colors`, "#rrggbb", as a number.

    Raises:
        ConfigError: It is no color, or that of a class.
    """
    value = parse_color(text)
    if value is None:
        raise ConfigError(
            f'data.ignore_colors holds {text!r}, which is no color; write it like "#000000"'
        )
    of_class = [spec.name for spec in config.classes if int(spec.color[1:], 16) == value]
    if of_class:
        raise ConfigError(
            f"data.ignore_colors holds {text}, the color of class {of_class[0]}; "
            "take it out or change the class"
        )
    return value
