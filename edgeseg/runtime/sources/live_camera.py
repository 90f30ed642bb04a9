"""Live cameras: a thread keeps only the newest picture, and a lost camera is opened again with
growing pauses.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from edgeseg.errors import SourceError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.opencv import cv2, silence_opencv
from edgeseg.runtime.sources.base import Frame, SourceStatistics

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between attempts to get a lost camera back
TIMEOUT_MS = 5_000  # FFmpeg's own default waits half a minute on a frozen stream
STOP_CHECK_SECONDS = 0.2  # seconds after which a waiting reader looks whether it should stop


class VideoCapture(Protocol):
    """The part of cv2.VideoCapture that is used."""

    def read(self) -> tuple[bool, Any]:  # Any: an image, or None
        """The next picture, and whether there was one."""

    def release(self) -> None:
        """Let go of the device."""


class LiveCamera:
    """A live source; the newest frame wins, and what it replaces is counted."""

    live = True
    total: int | None = None

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
            connect: opens the device; None if that fails.
            name, camera: what messages and frames call it.
            on_message: is told, from another thread, when the camera is lost and when it is back.
            pauses: the first and the longest, in seconds, between attempts to connect.

        Raises:
            SourceError: the first attempt fails.
        """
        first = connect()
        if first is None:
            raise SourceError(
                f"{name} cannot be opened; check that it is switched on and connected, that address, user and password "
                "are right, and that no other program uses it"
            )
        self.name, self.fps, self.statistics = name, fps, SourceStatistics()
        self._connect, self._camera, self._on_message, self._pauses = (
            connect,
            camera,
            on_message,
            pauses,
        )
        self._newest: tuple[Image, int, int] | None = None
        self._lost = False
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._grab, args=(first,), name="camera", daemon=True
        )
        self._thread.start()  # a daemon: a driver that hangs must not keep the process alive

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """The newest frame each time, until `stop` is set."""
        began = time.monotonic_ns()
        while not stop.is_set():
            with self._changed:
                if self._newest is None:
                    self._changed.wait(STOP_CHECK_SECONDS)
                taken, self._newest = self._newest, None
            if taken is not None:
                image, number, moment = taken
                yield Frame(
                    image,
                    number,
                    f"{number:08d}",
                    self._camera,
                    max(0, moment - began) / 1e9,
                    moment,
                )

    def close(self) -> None:
        """Stop reading; a driver that hangs is left behind."""
        self._stop.set()
        self._thread.join(2 * STOP_CHECK_SECONDS)

    def _grab(self, capture: VideoCapture | None) -> None:
        number, pauses = 0, reconnect_pauses(*self._pauses)
        while not self._stop.is_set():
            if capture is not None:
                before = number
                number = self._read_all(capture, number)
                capture.release()
                if number > before:
                    pauses = reconnect_pauses(*self._pauses)
                if not self._lost and not self._stop.is_set():
                    self._lost = True
                    self._on_message(
                        f"{self.name} was lost after {number} frames; trying again until it returns"
                    )
            self._stop.wait(next(pauses))
            capture = None if self._stop.is_set() else self._connect()
        if capture is not None:
            capture.release()

    def _read_all(self, capture: VideoCapture, number: int) -> int:
        """Read until the camera fails; returns the number of the next frame."""
        while not self._stop.is_set():
            done, image = capture.read()
            if not done:
                break
            if self._lost:
                self._lost = False
                self.statistics.reconnects += 1
                self._on_message(f"{self.name} is back")
            with self._changed:
                self.statistics.dropped += self._newest is not None
                self._newest = np.asarray(image, np.uint8), number, time.monotonic_ns()
                self._changed.notify()
            number += 1
        return number


def reconnect_pauses(first: float, longest: float) -> Iterator[float]:
    """Seconds to wait before each attempt: doubling up to a limit, and never the same on two
    devices.
    """
    pause = first
    while True:
        yield pause * random.uniform(
            0.75, 1.25
        )  # many devices must not knock at one server together
        pause = min(2 * pause, longest)


def opencv_connector(
    device: int | str, backend: int, *, timeouts: bool = False
) -> Callable[[], VideoCapture | None]:
    """How OpenCV opens a device, an address or a GStreamer pipeline.

    Args:
        backend: one of cv2.CAP_*.
        timeouts: give up on a silent stream; only FFmpeg takes them.
    """
    silence_opencv()
    waits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]

    def connect() -> VideoCapture | None:
        capture = cv2.VideoCapture(device, backend, waits if timeouts else [])
        return capture if capture.isOpened() else None

    return connect
