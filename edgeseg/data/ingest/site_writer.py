"""The writer that adds frames to a site.

Images come first, each written under the name of its content and safe from a power cut, then the
index that counts them. A writer killed anywhere leaves images that no index names; the same command
run again writes the same and finishes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeseg.atomic_files import lock_folder, remove_leftovers, write_atomic
from edgeseg.data.ingest.image_files import content_digest, encode_image, shrink_to_max_side
from edgeseg.data.leakage import mark_withheld
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.perceptual_hash import HashSet, dhash
from edgeseg.imaging.resize import resize_image
from edgeseg.site import Frame, FrameOrigin, Site, Split

DEFAULT_CAMERA = "camera"


def checked_camera_name(name: str | None) -> str:
    """Return the camera's name, the default one without any.

    Raises:
        DataError: It cannot be part of a file name.
    """
    name = name or DEFAULT_CAMERA
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}", name):
        raise DataError(
            f"camera {name!r} cannot be part of a file name; "
            "use up to 40 letters, digits, '.', '_' and '-'"
        )
    return name


class SiteWriter:
    """The frames of a site while some are added; made by `open_site_writer`."""

    def __init__(self, site: Site) -> None:
        """Read the index."""
        self.site = site
        self._frames = {frame.id: frame for frame in site.frames()}
        # A frame id is "<camera>-<digest of the content>".
        self._id_of_digest = {frame_id.rpartition("-")[2]: frame_id for frame_id in self._frames}
        self._hashes = HashSet([int(frame.hash, 16) for frame in self._frames.values()])
        self._unsaved = 0
        self._ids_at_start = frozenset(self._frames)

    def frames(self) -> list[Frame]:
        """Return all frames, those added so far among them."""
        return list(self._frames.values())

    def find_by_id(self, frame_id: str) -> Frame | None:
        """Return the frame of this id."""
        return self._frames.get(frame_id)

    def find_by_content(self, digest: str) -> Frame | None:
        """Return the frame made from content with this `content_digest`, whatever its camera."""
        frame_id = self._id_of_digest.get(digest)
        return None if frame_id is None else self._frames[frame_id]

    def was_present(self, digest: str) -> bool:
        """Return whether the site held a frame of this content before it was opened."""
        return self._id_of_digest.get(digest) in self._ids_at_start

    def is_lost(self, digest: str) -> bool:
        """Return whether the frame of this content has lost its image file."""
        frame = self.find_by_content(digest)
        return frame is not None and not (self.site.root / frame.image).is_file()

    def restore_image(self, digest: str, rgb: Image, data: bytes | None) -> None:
        """Write a lost image file again, as it was; nothing else of the frame changes.

        Args:
            digest: That of its content.
            rgb: (H, W, 3) uint8.
            data: The image as a plain JPEG file, kept byte for byte if it has the frame's size.

        Raises:
            DataError: The disk does not take it.
        """
        frame = self._frames[self._id_of_digest[digest]]
        size, suffix = (frame.height, frame.width), Path(frame.image).suffix
        if data is None or suffix != ".jpg" or rgb.shape[:2] != size:
            data = encode_image(rgb if rgb.shape[:2] == size else resize_image(rgb, size), suffix)
        self.write(frame.image, data)

    def has_near_duplicate(self, image_hash: int) -> bool:
        """Return whether the site holds a near-duplicate of a frame with this dHash.

        The configuration says how many bits near-duplicates may differ in.
        """
        return self._hashes.has_within(image_hash, self.site.config.data.near_duplicate)

    def put_image(
        self,
        rgb: Image,
        data: bytes | None,
        *,
        camera: str,
        time: float,
        source: str,
        origin: FrameOrigin,
        digest: str | None = None,
        image_hash: int | None = None,
        lossless: bool = False,
    ) -> Frame:
        """Write an image into the site and make it an unlabelled frame.

        Args:
            rgb: (H, W, 3) uint8.
            data: The image as a plain JPEG file, kept byte for byte unless it has to be made
                smaller.
            digest: Digest of what it was made from; by default of the bytes that are stored.
            image_hash: Its dHash where that is known.
            lossless: Store PNG where `data` is missing.

        Raises:
            DataError: The disk does not take it.
        """
        stored = shrink_to_max_side(rgb, self.site.config.data.max_side)
        is_whole = stored is rgb
        suffix = ".jpg"
        if data is None or not is_whole:
            suffix = ".png" if lossless and is_whole else ".jpg"
            data = encode_image(stored, suffix)
        digest = digest or content_digest(data)
        frame_id = f"{camera}-{digest}"
        name = f"frames/{camera}/{frame_id}{suffix}"
        self.write(name, data)
        height, width = stored.shape[:2]
        image_hash = dhash(rgb) if image_hash is None else image_hash
        frame = Frame(
            id=frame_id,
            camera=camera,
            time=round(time, 3),
            source=source,
            split="unlabelled",
            image=name,
            mask=None,
            height=height,
            width=width,
            hash=f"{image_hash:016x}",
            origin=origin,
        )
        self._frames[frame_id] = frame
        self._id_of_digest[digest] = frame_id
        self._hashes.add(image_hash)
        self._unsaved += 1
        return frame

    def put_mask(self, frame: Frame, data: bytes, split: Split) -> None:
        """Write the mask (an 8-bit PNG file of the frame's size) and move the frame to `split`."""
        name = f"masks/{frame.camera}/{frame.id}.png"
        self.write(name, data)
        self._frames[frame.id] = dataclasses.replace(frame, mask=name, split=split)
        self._unsaved += 1

    def write(self, name: str, data: bytes) -> None:
        """Put a file into the site.

        Raises:
            DataError: The disk does not take it.
        """
        try:
            write_atomic(self.site.root / name, data)
        except OSError as error:
            raise _unwritable(self.site, error) from None

    def save(self) -> int:
        """Write the index.

        Returns:
            How many unlabelled frames are withheld from training now.
        """
        frames = mark_withheld(self.frames(), self.site.config.data)
        try:
            self.site.save_frames(frames)
        except OSError as error:
            raise _unwritable(self.site, error) from None
        self._frames = {frame.id: frame for frame in frames}
        self._unsaved = 0
        return sum(frame.withheld for frame in frames)

    def save_sometimes(self) -> None:
        """Write the index if so much is new that losing it would hurt.

        That is at 20 new frames or a twentieth of all, whichever is more, for writing a long index
        takes longer.
        """
        if self._unsaved >= max(20, len(self._frames) // 20):
            self.save()


@contextmanager
def open_site_writer(site: Site) -> Iterator[SiteWriter]:
    """Open a site for this process alone, without what a killed writer left half-written.

    Raises:
        DataError: Another process adds to the site.
    """
    with lock_folder(site.root / "frames", DataError):
        camera_folders = [*(site.root / "frames").glob("*/"), *(site.root / "masks").glob("*/")]
        for folder in (site.root, *camera_folders):
            remove_leftovers(folder)
        yield SiteWriter(site)


def _unwritable(site: Site, error: OSError) -> DataError:
    return DataError(
        f"{site.root} cannot be written to ({error.strerror}); "
        "make room or mend the folder, then run this again"
    )
