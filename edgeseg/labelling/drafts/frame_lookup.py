"""Frames by their ids, read again when the site's index changes."""

from __future__ import annotations

import threading

from edgeseg.errors import DataError
from edgeseg.site import Frame, Site


class UnknownFrameError(DataError):
    """The site has no frame of this id."""


class FrameLookup:
    """The frames of a site by id, in the order of the index."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._frames: dict[str, Frame] = {}

    def all(self) -> dict[str, Frame]:
        """Return the frames of the index as it is now.

        Raises:
            DataError: The index is damaged.
        """
        index = self._site.index
        facts = index.stat() if index.exists() else None
        stamp = None if facts is None else (facts.st_mtime_ns, facts.st_ino)
        with self._lock:
            if stamp is None or stamp != self._stamp:
                self._frames = {frame.id: frame for frame in self._site.frames()}
                self._stamp = stamp
            return self._frames

    def stamp(self) -> tuple[int, int] | None:
        """Return what changes whenever the index does; None where there is none."""
        self.all()
        return self._stamp

    def find(self, frame_id: str) -> Frame:
        """Return a frame.

        Raises:
            UnknownFrameError: There is none of this id.
        """
        frame = self.all().get(frame_id)
        if frame is None:
            raise UnknownFrameError("the site has no frame of this id; load the page again")
        return frame

    def before(self, frame: Frame) -> list[Frame]:
        """Return the frames of the same camera and size that came before, the nearest first."""
        earlier = [
            each
            for each in self.all().values()
            if each.camera == frame.camera
            and (each.source, each.time) < (frame.source, frame.time)
            and (each.height, each.width) == (frame.height, frame.width)
        ]
        return sorted(earlier, key=lambda each: (each.source, each.time), reverse=True)
