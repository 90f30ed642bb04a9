"""Live cameras: only the newest frame counts, and a lost camera is opened again until it returns.

USB cameras, CSI sensors and network streams (RTSP, HTTP and the like) alike. The pauses between
attempts to reconnect are `FIRST_PAUSE` to `LONGEST_PAUSE`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from edgeseg.errors import SourceError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.video.timed_frame import UnreadableVideoError
from edgeseg.runtime.sources.base import SourceFrame, SourceStatistics

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between attempts to get a lost camera back
STOP_CHECK_SECONDS = 0.2  # a reader that waits for a frame checks so often whether it should stop


class VideoCapture(Protocol):
    """An open device or stream.

    Attributes:
        fps: Frames a second, None if it does not say.
    """

    fps: float | None

    def read(self) -> Image | None:
        """Wait for the next image, (H, W, 3) uint8 RGB; None once the camera is lost."""

    def release(self) -> None:
        """Let go of the device."""


class LiveCamera:
    """A live source; the newest frame replaces the one before, and what it replaces is counted.

    One thread reads without a pause: a driver or a server keeps frames that are not fetched, and
    would hand out ever older ones.
    """

    live = True
    total: int | None = None
    reads: Sequence[Path] = ()

    def __init__(
        self,
        connect: Callable[[], VideoCapture | None],
        name: str,
        camera: str,
        *,
        on_message: Callable[[str], None],
        fps: float | None = None,
        pauses: tuple[float, float] = (FIRST_PAUSE, LONGEST_PAUSE),
    ) -> None:
        """Connect once and begin to read.

        Args:
            connect: Opens the device; returns None if that fails.
            name: What messages call the source.
            camera: What frames call the camera.
            on_message: Is told, from another thread, when the camera is lost and when it is back.
            fps: Frames a second; what the device itself says if left out.
            pauses: The first and the longest pause, in seconds, between attempts to connect.

        Raises:
            SourceError: The first attempt fails.
        """
        try:
            capture = connect()
        except UnreadableVideoError as error:
            raise SourceError(f"{name} {error}") from None
        if capture is None:
            raise SourceError(
                f"{name} cannot be opened; check that it is switched on and connected, that "
                "address, user and password are right, and that no other program uses it"
            )
        self.name, self.statistics = name, SourceStatistics()
        self.fps = capture.fps if fps is None else fps
        self._connect, self._camera = connect, camera
        self._on_message, self._pauses = on_message, pauses
        # Image, number and time of the newest frame, None once it was taken; guarded by `_changed`.
        self._newest: tuple[Image, int, int] | None = None
        self._number = 0  # of the next frame
        self._lost = False
        self._changed = threading.Condition()
        self._stop = threading.Event()
        # A daemon: a driver that hangs must not keep the process alive.
        self._thread = threading.Thread(
            target=self._read_until_stopped, args=(capture,), name="camera", daemon=True
        )
        self._thread.start()

    def frames(self, stop: threading.Event) -> Iterator[SourceFrame]:
        """Yield the newest frame each time, until `stop` is set.

        Raises:
            SourceError: The thread that reads has ended, which nothing should make it do.
        """
        began = time.monotonic_ns()
        while not stop.is_set():
            if not self._thread.is_alive() and not self._stop.is_set():
                raise SourceError(f"{self.name} is not read any more; start again")
            with self._changed:
                if self._newest is None:
                    self._changed.wait(STOP_CHECK_SECONDS)
                taken, self._newest = self._newest, None
            if taken is not None:
                image, number, moment = taken
                # A frame may have been read just before `frames` was called.
                seconds = max(0, moment - began) / 1e9
                yield SourceFrame(image, number, f"{number:08d}", self._camera, seconds, moment)

    def close(self) -> None:
        """Stop reading; a driver that hangs is left behind."""
        self._stop.set()
        self._thread.join(2 * STOP_CHECK_SECONDS)

    def _read_until_stopped(self, capture: VideoCapture | None) -> None:
        """Read, and connect again after each failure: the reader thread.

        Nothing that a driver, a decoder or `on_message` raises ends it: with it would end the only
        way back to the camera.

        Args:
            capture: The open camera; None between a failed attempt to connect and the next.
        """
        pauses = reconnect_pauses(*self._pauses)
        while not self._stop.is_set():
            if capture is not None:
                first_number = self._number
                with suppress(Exception):
                    self._read_until_lost(capture)
                with suppress(Exception):
                    capture.release()
                if self._number > first_number:
                    # It worked meanwhile. A camera that opens but gives no frame counts as a failed
                    # attempt, so its pauses go on growing.
                    pauses = reconnect_pauses(*self._pauses)
                if not self._lost and not self._stop.is_set():
                    self._lost = True
                    self._say(
                        f"{self.name} was lost after {self._number} frames; "
                        "trying again until it returns"
                    )
            self._stop.wait(next(pauses))
            capture = None
            if not self._stop.is_set():
                with suppress(Exception):
                    capture = self._connect()
        if capture is not None:
            with suppress(Exception):
                capture.release()

    def _read_until_lost(self, capture: VideoCapture) -> None:
        """Read until the camera fails or is closed."""
        while not self._stop.is_set():
            image = capture.read()
            if image is None:
                return
            moment = time.monotonic_ns()
            if self._lost:
                self._lost = False
                self.statistics.reconnects += 1
                self._say(f"{self.name} is back")
            with self._changed:
                self.statistics.dropped += self._newest is not None
                self._newest = image, self._number, moment
                self._changed.notify()
            self._number += 1

    def _say(self, message: str) -> None:
        """Tell a message, if whoever takes it still can: standard error may be a full disk."""
        with suppress(Exception):
            self._on_message(message)


def reconnect_pauses(first: float, longest: float) -> Iterator[float]:
    """Yield the seconds to wait before each attempt, doubling up to a limit (exponential backoff).

    Each is drawn from 75 to 125 % of its value, so that the devices of a site do not all knock at
    one server together when it comes back: 1, 2, 4, 8, 16, 30, 30, ... seconds for 1 and 30.
    """
    pause = first
    while True:
        yield pause * random.uniform(0.75, 1.25)
        pause = min(2 * pause, longest)
