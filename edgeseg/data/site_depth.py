"""`depth.json`: the range of values that becomes 0 to 255 in a site's pictures of more than 8 bits.

It is fixed by the first such pictures that are added and kept, so that all frames of the site, and
with its bundles all devices, show the same value as the same gray.
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import ValidationError, model_validator

from edgeseg.atomic_files import write_atomic
from edgeseg.config import Section
from edgeseg.errors import DataError
from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.site import Site

FILE_NAME = "depth.json"
DepthRule = Literal["full", "percentile"]


class SiteDepth(Section):
    """The content of `depth.json`.

    Attributes:
        format: The layout of this file.
        rule: Whether the range is the full one of the files, or the one that the footage uses.
        low: The value that becomes 0, with all below it.
        high: The first value that is too high to be told from others.
        floating: Whether the pictures hold floats; else integers.
    """

    format: Literal[1] = 1
    rule: DepthRule
    low: float
    high: float
    floating: bool = False

    @model_validator(mode="after")
    def _is_range(self) -> SiteDepth:
        _ = self.range
        return self

    @property
    def range(self) -> DepthRange:
        """The range itself."""
        return DepthRange(self.low, self.high, self.floating)


def load_site_depth(site: Site) -> SiteDepth | None:
    """Read what was fixed for the site, None while it has no deep pictures.

    Raises:
        DataError: The file is damaged.
    """
    path = site.root / FILE_NAME
    try:
        return SiteDepth.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        if isinstance(error, ValidationError):
            fault = error.errors()[0]
            reason = ": ".join([*map(str, fault["loc"]), fault["msg"]])
        raise DataError(
            f"{path} cannot be used ({reason}); restore it, it says how "
            "pictures of more than 8 bits were scaled for this site"
        ) from None


def save_site_depth(site: Site, depth: SiteDepth) -> None:
    """Write `depth.json`.

    Raises:
        DataError: The disk does not take it.
    """
    path = site.root / FILE_NAME
    try:
        write_atomic(path, (depth.model_dump_json(indent=2) + "\n").encode())
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror}); make room or mend the folder, then run "
            "this again"
        ) from None
