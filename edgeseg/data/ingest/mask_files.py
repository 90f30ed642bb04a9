"""The mask files that `edgeseg add labels` accepts, and how they become class ids.

Masks are PNG files, since JPEG changes class ids. By the mode of the file:

    palette, 1 to 8 bits     the indices are class ids, whatever their colors
    gray, 1 to 8 bits        the values are class ids, also beside an opaque alpha channel
    RGB, also with alpha     the colors are those of the classes in edgeseg.toml

Class id 255, and what `--ignore` or `data.ignore_colors` names, means "not labelled". Refused with
a reason are: other formats, 16 bits, transparency, unknown ids and unknown colors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.config import SiteConfig
from edgeseg.data.ingest.image_files import open_image, read_file
from edgeseg.errors import ConfigError, DataError
from edgeseg.imaging.array_types import IGNORE, Image, Mask

UNKNOWN_COLOR = 254  # in the color table: neither a class, which end at 63, nor "not labelled"
MOST_NAMED = 5  # ids or colors named in a message
JPEG_START = b"\xff\xd8\xff"


class MaskReader:
    """Reads mask files of one site into class ids."""

    def __init__(self, config: SiteConfig, ignore: Collection[int] = ()) -> None:
        """Prepare for the classes and colors of `config`.

        Args:
            ignore: Indices that mean "not labelled", beside 255.

        Raises:
            ConfigError: `data.ignore_colors` holds what is no color, or the color of a class; or
                an index is none.
        """
        self._config = config
        no_index = sorted(set(ignore) - set(range(256)))
        if no_index:
            raise ConfigError(
                f"--ignore {no_index[0]} is no index of an 8-bit mask; give numbers from 0 to 255"
            )
        self._ignore = sorted(set(ignore))
        self._ignore_colors = [_parse_color(text, config) for text in config.data.ignore_colors]

    def read(self, path: Path) -> Mask:
        """Read a mask file, (H, W) uint8 class ids, 255 = not labelled.

        Raises:
            DataError: "file: reason"; unreadable, no PNG, of an unusable mode, or with an unknown
                id or color.
        """
        data = read_file(path)
        if data.startswith(JPEG_START):
            raise DataError(
                f"{path}: is a JPEG, whose compression changes class ids; save masks as PNG"
            )
        image = open_image(data, path, ("PNG",))
        if image.mode == "P":
            return self._check_ids(np.array(image, np.uint8), path)
        if image.mode in ("1", "L"):
            return self._check_ids(_undo_spreading(np.array(image, np.uint8), data), path)
        if image.mode in ("RGB", "RGBA", "LA"):
            pixels = np.array(image)
            if image.mode != "RGB" and pixels[..., -1].min() < 255:
                raise DataError(
                    f"{path}: is transparent in places, so its classes are unclear; "
                    "save it without an alpha channel"
                )
            if image.mode == "LA":
                return self._check_ids(pixels[..., 0], path)
            return self._ids_of_colors(pixels, path)
        raise DataError(
            f"{path}: has mode {image.mode}; save masks as palette, 8-bit gray or RGB PNG"
        )

    def _check_ids(self, mask: Mask, path: Path) -> Mask:
        """Replace the ids to ignore and refuse those of no class."""
        if self._ignore:
            mask = np.where(np.isin(mask, self._ignore), np.uint8(IGNORE), mask)
        classes = len(self._config.classes)
        present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
        unknown = [int(value) for value in present if value >= classes and value != IGNORE]
        if unknown:
            raise DataError(
                f"{path}: has class ids {_list(map(str, unknown))}, "
                f"but the site has 0 to {classes - 1} and 255 (not labelled); "
                "add the classes to edgeseg.toml, "
                f"or pass --ignore {unknown[0]} if that means not labelled"
            )
        return mask

    def _ids_of_colors(self, pixels: Image, path: Path) -> Mask:
        """Look up the class of every color, (H, W, 3 or 4) RGB or RGBA."""
        channels = pixels.astype(np.uint32)
        # One number for each color, 0xRRGGBB: (255, 128, 0) is 0xff8000 = 16744448.
        colors = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
        mask: Mask = self._class_of_color[colors]
        is_unknown = mask == UNKNOWN_COLOR
        if is_unknown.any():
            values, counts = np.unique(colors[is_unknown], return_counts=True)
            by_count = sorted(zip(counts, values), reverse=True)
            unknown = [f"#{value:06x} ({count} pixels)" for count, value in by_count]
            raise DataError(
                f"{path}: has colors of no class: {_list(unknown)}; correct the colors of the "
                "classes in edgeseg.toml, or name these in data.ignore_colors"
            )
        return mask

    @cached_property
    def _class_of_color(self) -> NDArray[np.uint8]:
        """The class id of each of the 2**24 colors, by its number 0xRRGGBB."""
        table = np.full(1 << 24, UNKNOWN_COLOR, np.uint8)
        for class_id, (red, green, blue) in enumerate(self._config.palette):
            table[red << 16 | green << 8 | blue] = class_id
        table[self._ignore_colors] = IGNORE
        return table


def read_mask_file(path: Path, config: SiteConfig, ignore: Collection[int] = ()) -> Mask:
    """Read one mask file as class ids; for many, keep a `MaskReader`.

    Raises:
        ConfigError, DataError: As `MaskReader`.
    """
    return MaskReader(config, ignore).read(path)


def _undo_spreading(mask: Mask, data: bytes) -> Mask:
    """Return the values of a gray PNG of 1, 2 or 4 bits, which Pillow spreads over 0 to 255.

    The bit depth is byte 24 of the file. With 2 bits the values 0, 1, 2, 3 come as 0, 85, 170, 255
    and are divided by 255 // 3 = 85. Files of 1 bit come as 0 and 1.
    """
    depth = data[24]
    if depth >= 8 or mask.max() <= 1:
        return mask
    return mask // (255 // ((1 << depth) - 1))


def _parse_color(text: str, config: SiteConfig) -> int:
    """Return a color of `data.ignore_colors`, "#rrggbb", as a number.

    Raises:
        ConfigError: It is no color, or that of a class.
    """
    try:
        value = int(text.removeprefix("#"), 16) if len(text) == 7 and text[0] == "#" else -1
    except ValueError:
        value = -1
    if value < 0:
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


def _list(values: Iterable[str]) -> str:
    """Return values with commas between them; capped, the rest counted."""
    texts = list(values)
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return ", ".join(texts[:MOST_NAMED]) + more
