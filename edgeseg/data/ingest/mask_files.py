"""Mask files as labelling tools write them: palette PNG (its indices), 8-bit index PNG, PNG in the
site's colors.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.config import SiteConfig
from edgeseg.data.ingest.image_files import open_image, read_bytes
from edgeseg.errors import ConfigError, DataError
from edgeseg.imaging.array_types import IGNORE, Mask

UNKNOWN = (
    254  # in the color table: a color of neither a class nor "not labelled"; classes end at 63
)
SHOWN = 5  # ids or colors named in a message


class MaskReader:
    """Reads mask files of one site into class ids."""

    def __init__(self, config: SiteConfig, ignore: Collection[int] = ()) -> None:
        """Prepare for the classes and colors of `config`.

        Args:
            ignore: indices that mean "not labelled", beside 255.

        Raises:
            ConfigError: `data.ignore_colors` holds what is no color, or the color of a class; or
                an index is none.
        """
        self._config = config
        strange = sorted(set(ignore) - set(range(256)))
        if strange:
            raise ConfigError(
                f"--ignore {strange[0]} is no index of an 8-bit mask; give numbers from 0 to 255"
            )
        self._ignore = sorted(set(ignore))
        self._ignore_colors = [_parse(text, config) for text in config.data.ignore_colors]

    @cached_property
    def _table(self) -> NDArray[np.uint8]:
        table = np.full(1 << 24, UNKNOWN, np.uint8)
        for index, (red, green, blue) in enumerate(self._config.palette):
            table[red << 16 | green << 8 | blue] = index
        table[self._ignore_colors] = IGNORE
        return table

    def read(self, path: Path) -> Mask:
        """The class ids of a mask file, (H, W) uint8, 255 = not labelled.

        Raises:
            DataError: "file: reason"; unreadable, no PNG, of an unusable mode, or with an unknown
                id or color.
        """
        data = read_bytes(path)
        if data[:3] == b"\xff\xd8\xff":
            raise DataError(
                f"{path}: is a JPEG, whose compression changes class ids; save masks as PNG"
            )
        image = open_image(data, path, ("PNG",))
        if image.mode == "P":
            return self._indices(np.array(image, np.uint8), path)
        if image.mode in ("1", "L"):
            return self._indices(_gray(np.array(image, np.uint8), data), path)
        if image.mode in ("RGB", "RGBA", "LA"):
            pixels = np.array(image)
            if image.mode != "RGB" and pixels[..., -1].min() < 255:
                raise DataError(
                    f"{path}: is transparent in places, so its classes are unclear; save it without an alpha channel"
                )
            return (
                self._indices(pixels[..., 0], path)
                if image.mode == "LA"
                else self._colors(pixels, path)
            )
        raise DataError(
            f"{path}: has mode {image.mode}; save masks as palette, 8-bit gray or RGB PNG"
        )

    def _indices(self, mask: Mask, path: Path) -> Mask:
        if self._ignore:
            mask = np.where(np.isin(mask, self._ignore), np.uint8(IGNORE), mask)
        classes = len(self._config.classes)
        wrong = [
            int(value)
            for value in np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
            if classes <= value != IGNORE
        ]
        if wrong:
            raise DataError(
                f"{path}: has class ids {_some(map(str, wrong))}, but the site has 0 to {classes - 1} and 255 (not "
                f"labelled); add the classes to edgeseg.toml, or pass --ignore {wrong[0]} if that means not labelled"
            )
        return mask

    def _colors(self, pixels: NDArray[np.uint8], path: Path) -> Mask:
        packed = (
            pixels[..., 0].astype(np.uint32) << 16
            | pixels[..., 1].astype(np.uint32) << 8
            | pixels[..., 2]
        )
        mask: Mask = self._table[packed]
        if (mask == UNKNOWN).any():
            values, counts = np.unique(packed[mask == UNKNOWN], return_counts=True)
            wrong = [
                f"#{value:06x} ({count} pixels)"
                for count, value in sorted(zip(counts, values), reverse=True)
            ]
            raise DataError(
                f"{path}: has colors of no class: {_some(wrong)}; correct the colors of the classes in edgeseg.toml, "
                "or name these in data.ignore_colors"
            )
        return mask


def read_mask_file(path: Path, config: SiteConfig, ignore: Collection[int] = ()) -> Mask:
    """One mask file as class ids; for many, keep a `MaskReader`.

    Raises:
        ConfigError, DataError: as `MaskReader`.
    """
    return MaskReader(config, ignore).read(path)


def _gray(mask: Mask, data: bytes) -> Mask:
    """Undo that Pillow spreads gray of 1, 2 or 4 bits over 0..255 (the bit depth is byte 24 of a
    PNG file).
    """
    depth = data[24]
    return mask if depth >= 8 or mask.max() <= 1 else mask // (255 // ((1 << depth) - 1))


def _parse(text: str, config: SiteConfig) -> int:
    try:
        value = int(text.removeprefix("#"), 16) if len(text) == 7 and text[0] == "#" else -1
    except ValueError:
        value = -1
    if value < 0:
        raise ConfigError(
            f'data.ignore_colors holds {text!r}, which is no color; write it like "#000000"'
        )
    same = [spec.name for spec in config.classes if int(spec.color[1:], 16) == value]
    if same:
        raise ConfigError(
            f"data.ignore_colors holds {text}, the color of class {same[0]}; take it out or change the class"
        )
    return value


def _some(values: Collection[str] | map[str]) -> str:
    listed = list(values)
    return ", ".join(listed[:SHOWN]) + (
        f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    )
