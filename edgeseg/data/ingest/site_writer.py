"""Adding frames to a site: images first, each durable under the name of its content, then the index
that counts them.

A writer killed anywhere leaves images that no index names; the same command run again writes the
same and finishes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from edgeseg.atomic_files import lock_folder, remove_leftovers, write_atomic
from edgeseg.data.ingest.image_files import Rgb, content_digest, encode_image, shrink_to_max_side
from edgeseg.data.leakage import mark_withheld
from edgeseg.errors import DataError
from edgeseg.imaging.perceptual_hash import HashSet, dhash
from edgeseg.site import Frame, Site, Split

DEFAULT_CAMERA = "camera"
Origin = Literal["footage", "labels", "log"]


def check_camera(name: str | None) -> str:
    """The camera's name, the default one without any.

    Raises:
        DataError: it cannot be part of a file name.
    """
    name = name or DEFAULT_CAMERA
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}", name):
        raise DataError(
            f"camera {name!r} cannot be part of a file name; use up to 40 letters, digits, '.', '_' and '-'"
        )
    return name


class SiteWriter:
    """The frames of a site while some are added; made by `open_site_writer`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._frames = {frame.id: frame for frame in site.frames()}
        self._digests = {identity.rpartition("-")[2]: identity for identity in self._frames}
        self._hashes = HashSet([int(frame.hash, 16) for frame in self._frames.values()])
        self._unsaved = 0
        self._before = frozenset(self._frames)

    def frames(self) -> list[Frame]:
        return list(self._frames.values())

    def find_by_id(self, identity: str) -> Frame | None:
        """The frame of this id."""
        return self._frames.get(identity)

    def find_by_content(self, content: str) -> Frame | None:
        """The frame made from content with this `content_digest`, whatever its camera."""
        identity = self._digests.get(content)
        return None if identity is None else self._frames[identity]

    def was_present(self, content: str) -> bool:
        """Whether the site held a frame of this content before it was opened."""
        return self._digests.get(content) in self._before

    def has_near_duplicate(self, value: int) -> bool:
        """Whether the site holds a near-duplicate, by the configuration's distance, of a frame with
        this hash.
        """
        return self._hashes.has_within(value, self.site.config.data.near_duplicate)

    def put_image(
        self,
        rgb: Rgb,
        data: bytes | None,
        *,
        camera: str,
        time: float,
        source: str,
        origin: Origin,
        content: str | None = None,
        hashed: int | None = None,
        lossless: bool = False,
    ) -> Frame:
        """Write an image into the site and make it an unlabelled frame.

        Args:
            rgb: (H, W, 3) uint8.
            data: the image as a plain JPEG file, kept byte for byte unless it has to be made
                smaller.
            content: digest of what it was made from; by default of the bytes that are stored.
            hashed: its dHash where that is known.
            lossless: store PNG where `data` is missing.

        Raises:
            DataError: the disk does not take it.
        """
        small = shrink_to_max_side(rgb, self.site.config.data.max_side)
        suffix = ".jpg"
        if data is None or small is not rgb:
            suffix = ".png" if lossless and small is rgb else ".jpg"
            data = encode_image(small, suffix)
        content = content or content_digest(data)
        identity = f"{camera}-{content}"
        name = f"frames/{camera}/{identity}{suffix}"
        self.write(name, data)
        height, width = small.shape[:2]
        value = dhash(rgb) if hashed is None else hashed
        frame = Frame(
            id=identity,
            camera=camera,
            time=round(time, 3),
            source=source,
            split="unlabelled",
            image=name,
            mask=None,
            height=height,
            width=width,
            hash=f"{value:016x}",
            origin=origin,
        )
        self._frames[identity] = frame
        self._digests[content] = identity
        self._hashes.add(value)
        self._unsaved += 1
        return frame

    def put_mask(self, frame: Frame, data: bytes, split: Split) -> None:
        """Write the mask (an 8-bit PNG file of the frame's size) and move the frame to `split`."""
        name = f"masks/{frame.camera}/{frame.id}.png"
        self.write(name, data)
        self._frames[frame.id] = dataclasses.replace(frame, mask=name, split=split)
        self._unsaved += 1

    def write(self, name: str, data: bytes) -> None:
        """Put a file into the site."""
        try:
            write_atomic(self.site.root / name, data)
        except OSError as error:
            raise _unwritable(self.site, error) from None

    def save(self) -> int:
        """Write the index; returns how many unlabelled frames are withheld from training now."""
        frames = mark_withheld(self.frames(), self.site.config.data)
        try:
            self.site.save_frames(frames)
        except OSError as error:
            raise _unwritable(self.site, error) from None
        self._frames = {frame.id: frame for frame in frames}
        self._unsaved = 0
        return sum(frame.withheld for frame in frames)

    def save_sometimes(self) -> None:
        """Write the index if so much is new that losing it would hurt; rarer the longer the index
        is.
        """
        if self._unsaved >= max(20, len(self._frames) // 20):
            self.save()


def _unwritable(site: Site, error: OSError) -> DataError:
    return DataError(
        f"{site.root} cannot be written to ({error.strerror}); make room or mend the folder, then run this again"
    )


@contextmanager
def open_site_writer(site: Site) -> Iterator[SiteWriter]:
    """The site's store, held by this process alone, without what a killed one left half-written.

    Raises:
        DataError: another process adds to the site.
    """
    with lock_folder(site.root / "frames", DataError):
        for folder in (
            site.root,
            *(site.root / "frames").glob("*/"),
            *(site.root / "masks").glob("*/"),
        ):
            remove_leftovers(folder)
        yield SiteWriter(site)
