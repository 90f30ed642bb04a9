"""Pictures of more than 8 bits on their way into a site: one range for all, chosen at the first.

`data.depth` names the rule. "auto" takes the full range of the files where the footage uses enough
of the 256 gray levels that way, else the range that the footage uses, which is "percentile".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from edgeseg.data.ingest.image_files import to_rgb
from edgeseg.data.site_depth import (
    FILE_NAME,
    DepthRule,
    SiteDepth,
    load_site_depth,
    save_site_depth,
)
from edgeseg.errors import ConfigError, DataError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.decoding.deep_pixels import is_deep_file
from edgeseg.imaging.decoding.depth_range import (
    ENOUGH_LEVELS,
    DeepPixels,
    DepthRange,
    sample_values,
    stretched_range,
    used_range,
)
from edgeseg.imaging.decoding.picture import Picture, decode_picture
from edgeseg.imaging.decoding.picture_file import UnreadablePictureError, read_picture_file
from edgeseg.site import Site

SAMPLED_PICTURES = 100  # spread over all deep ones of the first `add`


class DeepPictures:
    """The deep pictures of one `edgeseg add`.

    Attributes:
        count: Pictures that were scaled.
    """

    def __init__(self, site: Site) -> None:
        """Read what was fixed for the site.

        Raises:
            DataError: `depth.json` is damaged.
            ConfigError: `data.depth` asks for another rule than was fixed.
        """
        self._site, self._rule = site, site.config.data.depth
        self._depth = load_site_depth(site)
        self._is_new = False
        self.count = 0
        self._values: list[DeepPixels] = []
        if self._depth and self._rule in ("full", "percentile") and self._rule != self._depth.rule:
            raise ConfigError(
                f'data.depth = "{self._rule}", but the pictures of more than 8 bits that '
                f"{site.root} has were scaled by {self._depth.rule} ({FILE_NAME}); "
                f'set it to "{self._depth.rule}" or "auto", or make a new site'
            )

    @property
    def range(self) -> DepthRange | None:
        """The range of the site, None while it has seen no deep picture."""
        return self._depth.range if self._depth else None

    def choose(self, paths: Sequence[Path]) -> None:
        """Choose the site's range by those of the files that are deep, unless it has one.

        Nothing is written before `save`. Files that cannot be read are passed over.
        """
        if self._depth is not None or self._rule == "8bit":
            return
        deep = [path for path in paths if is_deep_file(path)]
        step = max(1, -(-len(deep) // SAMPLED_PICTURES))  # -(-a // b) rounds up
        self.choose_by(_pictures(deep[::step]))

    def choose_by(self, pictures: Iterable[tuple[DeepPixels, DepthRange]]) -> None:
        """Choose the site's range by values and the full range that they could have used.

        Pictures of another kind than the first, integers or floats, do not count.
        """
        if self._depth is not None or self._rule == "8bit":
            return
        samples: list[DeepPixels] = []
        container: DepthRange | None = None
        for values, full in pictures:
            container = container or full
            if full.floating == container.floating:
                samples.append(sample_values(values))
                container = max(container, full, key=lambda each: each.high - each.low)
        if container is not None:
            self._depth = choose_depth(samples, container, self._rule)
            self._is_new = True

    def save(self) -> None:
        """Fix for the site what was chosen.

        Raises:
            DataError: The disk does not take it.
        """
        if self._depth is not None and self._is_new:
            save_site_depth(self._site, self._depth)
            self._is_new = False

    def rgb(self, picture: Picture, path: Path) -> Image:
        """Return a picture as (H, W, 3) uint8 RGB, by the range of the site if it is deep.

        Args:
            path: Names it in messages.

        Raises:
            DataError: `data.depth` refuses deep pictures, or the range is for another kind.
        """
        if picture.container is None:
            return picture.values
        self.check(picture, path)
        rgb = to_rgb(picture, path, self.range)
        self.count += 1
        self._values.append(sample_values(picture.values, 2000))
        return rgb

    def notes(self) -> list[str]:
        """Return what the user should know: the range that was used, and how well it fits."""
        if not self.count or self._depth is None:
            return []
        depth, pictures = self._depth, f"{self.count} picture{'s' * (self.count > 1)}"
        values = np.concatenate(self._values)
        levels = depth.range.levels_between(*used_range([values]))
        outside = depth.range.share_outside(values)
        notes = [
            f"{pictures} of more than 8 bits: values from {depth.range} became 0 to 255 "
            f"({depth.rule}; {FILE_NAME} keeps this range for the site and its bundles)"
        ]
        if levels < ENOUGH_LEVELS or outside > 0.05:
            notes.append(
                f"these pictures use {levels} of 256 gray levels that way and "
                f"{100 * outside:.0f} % of their pixels lie outside of the range; if they show "
                "too little, make a new site from footage that spans all conditions, with "
                'data.depth = "percentile"'
            )
        return notes

    def check(self, picture: Picture, path: Path) -> None:
        """See that a picture can be scaled, without doing it.

        Raises:
            DataError: As `rgb`.
        """
        if picture.container is None:
            return
        if self._rule == "8bit":
            raise DataError(
                f'{path}: has more than 8 bits, which data.depth = "8bit" refuses; save it with '
                "8 bits or set data.depth"
            )
        if self._depth and self._depth.floating != picture.container.floating:
            to_rgb(picture, path, self.range)  # raises


def choose_depth(samples: Sequence[DeepPixels], container: DepthRange, rule: str) -> SiteDepth:
    """Return the range for a site by the values of its first deep pictures.

    Args:
        samples: Values of pictures, at least one.
        container: What they could have been.
        rule: "auto", "full" or "percentile"; floats, which have no full range, take the latter.

    Raises:
        DataError: The rule is "full" and the values are floats.
    """
    if container.floating and rule == "full":
        raise DataError(
            "the pictures hold floating-point pixels, which have no full range; "
            'set data.depth = "percentile" or save them with 16 bits'
        )
    lowest, highest = used_range(samples)
    if rule == "auto":
        is_wide = container.levels_between(lowest, highest) >= ENOUGH_LEVELS
        rule = "full" if is_wide and not container.floating else "percentile"
    chosen: DepthRule = "full" if rule == "full" else "percentile"
    found = container if chosen == "full" else stretched_range(lowest, highest, container)
    return SiteDepth(rule=chosen, low=found.low, high=found.high, floating=found.floating)


def _pictures(paths: Iterable[Path]) -> Iterable[tuple[DeepPixels, DepthRange]]:
    for path in paths:
        try:
            picture = decode_picture(read_picture_file(path))
        except UnreadablePictureError:
            continue  # named when it is to be added
        if picture.container is not None:
            yield picture.values, picture.container
