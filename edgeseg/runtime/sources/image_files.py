"""Image files as a source: every one in order, none dropped."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

from edgeseg.errors import DataError, SourceError
from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.imaging.decoding.picture_reader import PictureReader
from edgeseg.imaging.opencv import silence_opencv
from edgeseg.runtime.sources.base import SourceFrame, SourceStatistics
from edgeseg.runtime.sources.source_names import safe_name, unique_names

MOST_REASONS = 3  # files that are told why they could not be read


class ImageFiles:
    """Image files in the given order; unreadable ones are counted and named."""

    live = False
    fps: float | None = None

    def __init__(
        self,
        paths: Sequence[Path],
        name: str,
        camera: str | None = None,
        depth: DepthRange | None = None,
    ) -> None:
        """Note the files; none is opened yet.

        Args:
            paths: The files, at least one.
            name: What the user called them.
            camera: What frames call the camera; that of each frame is the name of its folder if
                left out.
            depth: The range of values that becomes 0 to 255 in pictures of more than 8 bits, as
                the bundle brings it along.
        """
        silence_opencv()
        self.name = name
        self.statistics = SourceStatistics()
        self.total: int | None = len(paths)
        self._reader = PictureReader(depth)
        self._paths = list(paths)
        self.reads: Sequence[Path] = self._paths
        self._names = unique_names(self._paths)
        self._camera = camera

    def frames(self, stop: Event) -> Iterator[SourceFrame]:
        """Decode one image after another, until `stop` is set.

        Raises:
            SourceError: Not one could be decoded.
        """
        number = 0
        reasons: list[str] = []
        try:
            for path, name in zip(self._paths, self._names):
                if stop.is_set():
                    return
                try:
                    image = self._reader.read(path)
                except DataError as error:
                    self.statistics.unreadable.append(path.name)
                    reasons.append(str(error))
                    continue
                camera = self._camera or safe_name(path.resolve().parent.name)
                yield SourceFrame(image, number, name, camera, None, time.monotonic_ns())
                number += 1
        finally:  # also where the pipeline wants no more
            self.statistics.notes += [*reasons[:MOST_REASONS], *self._reader.notes()]
        if not number:
            raise SourceError(
                f"{self.name} holds no readable picture ({len(self._paths)} tried), the first is "
                f"{reasons[0]}; check the files"
            )

    def close(self) -> None:
        """Do nothing: no file stays open."""
