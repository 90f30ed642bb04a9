"""The site's own masks, and digests by which a draft knows whether its frame's was replaced."""

from __future__ import annotations

import hashlib

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.mask_png import read_mask
from edgeseg.site import Frame, Site

NONE = "none"  # the digest of no mask
Stamp = tuple[str, int, int, int]


def digest_of(mask: Mask) -> str:
    """Return the digest of a mask's ids, whatever its file looks like."""
    height, width = mask.shape
    return hashlib.sha256(b"%dx%d " % (height, width) + mask.tobytes()).hexdigest()


def read_site_mask(site: Site, frame: Frame) -> Mask:
    """Return the site's own mask of a frame that has one.

    Raises:
        DataError: It is missing, damaged or of another size.
    """
    assert frame.mask is not None
    unusable = "is missing, damaged or of the wrong size; add the labels again"
    path = site.path(frame.mask)
    mask = read_mask(path, fault=unusable)
    if mask.shape != (frame.height, frame.width):
        raise DataError(f"{path} {unusable}")
    return mask


class SiteMaskDigests:
    """Digests of the site's masks; a file that did not change is read once."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._known: dict[str, tuple[Stamp, str]] = {}

    def of(self, frame: Frame) -> str:
        """Return the digest of a frame's mask, `NONE` without one.

        Raises:
            DataError: The mask is missing, damaged or of another size.
        """
        if frame.mask is None:
            return NONE
        path = self._site.path(frame.mask)
        stamp: Stamp | None = None
        if path.is_file():  # reading tells what is wrong with another
            facts = path.stat()
            stamp = (frame.mask, facts.st_mtime_ns, facts.st_ino, facts.st_size)
        known = self._known.get(frame.id)
        if known is not None and known[0] == stamp:
            return known[1]
        digest = digest_of(read_site_mask(self._site, frame))
        if stamp is not None:
            self._known[frame.id] = stamp, digest
        return digest
