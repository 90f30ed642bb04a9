"""A live camera never hands out an old frame, and comes back after it was lost."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from itertools import islice

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.errors import SourceError
from edgeseg.runtime.sources.live_camera import LiveCamera, reconnect_pauses
from edgeseg.runtime.sources.open_source import open_source
from tests.helpers.footage import scene


class FakeCapture:
    """Gives `number` pictures, one whenever `ready` allows, then fails."""

    fps: float | None = 12.5

    def __init__(self, number: int, ready: Callable[[], object] = lambda: None) -> None:
        self.left, self.ready, self.released = number, ready, False

    def read(self) -> NDArray[np.uint8] | None:
        self.ready()
        if not self.left:
            return None
        self.left -= 1
        return np.full((4, 4, 3), self.left, np.uint8)

    def release(self) -> None:
        self.released = True


def attach(
    captures: list[FakeCapture | None], said: list[str], gave_up: threading.Event
) -> LiveCamera:
    line: Iterator[FakeCapture | None] = iter(captures)

    def connect() -> FakeCapture | None:
        try:
            return next(line)
        except StopIteration:
            gave_up.set()
            return None

    return LiveCamera(connect, "fake", "fake", on_message=said.append, pauses=(0.001, 0.004))


def test_the_newest_frame_wins_and_dropped_ones_are_counted() -> None:
    gave_up = threading.Event()
    source = attach([FakeCapture(50)], [], gave_up)
    assert gave_up.wait(10)  # all fifty were read before the first was asked for
    (frame,) = islice(source.frames(threading.Event()), 1)
    source.close()
    assert frame.number == 49 and source.statistics.dropped == 49 and source.live
    assert source.fps == 12.5  # as the device says


def test_a_lost_camera_comes_back() -> None:
    said: list[str] = []
    gave_up = threading.Event()
    captures: list[FakeCapture | None] = [
        FakeCapture(1),
        None,
        None,
        FakeCapture(0),
        FakeCapture(1),
    ]
    source = attach(captures, said, gave_up)
    assert gave_up.wait(10)
    (frame,) = islice(source.frames(threading.Event()), 1)
    source.close()
    assert frame.number == 1 and source.statistics.reconnects == 1
    assert [line.split()[2] for line in said] == [
        "lost",
        "back",
        "lost",
    ]  # once each, however long it took
    assert all(capture is None or capture.released for capture in captures)


def test_pauses_double_up_to_a_limit_with_some_chance_in_them() -> None:
    pauses = list(islice(reconnect_pauses(1, 30), 50))
    for pause, mean in zip(pauses, [1, 2, 4, 8, 16, *[30] * 45]):
        assert 0.75 * mean <= pause <= 1.25 * mean
    assert len(set(pauses[5:])) > 40


def test_a_camera_that_never_was_there_is_an_error() -> None:
    with pytest.raises(SourceError, match="switched on"):
        LiveCamera(lambda: None, "fake", "fake", on_message=print)


def test_a_waiting_camera_stops_at_once_and_a_hanging_driver_holds_nobody() -> None:
    hang = threading.Event()

    def hanging() -> None:
        hang.wait(30)

    source = LiveCamera(lambda: FakeCapture(1, hanging), "fake", "fake", on_message=print)
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    assert not list(source.frames(stop))
    source.close()
    hang.set()


def test_nothing_that_is_raised_ends_the_reader() -> None:
    """Standard error on a full disk, a driver that throws, a close that fails."""

    class Throws(FakeCapture):
        def read(self) -> NDArray[np.uint8] | None:
            if not self.left:
                raise MemoryError
            return super().read()

        def release(self) -> None:
            raise cv2.error("gone")

    def full_disk(message: str) -> None:
        raise OSError(28, "No space left on device")

    gave_up = threading.Event()
    line: Iterator[FakeCapture | None] = iter([Throws(1), None, Throws(2)])

    def connect() -> FakeCapture | None:
        try:
            return next(line)
        except StopIteration:
            gave_up.set()
            raise RuntimeError("the driver is gone") from None

    source = LiveCamera(connect, "fake", "fake", on_message=full_disk, pauses=(0.001, 0.004))
    assert gave_up.wait(10)
    (frame,) = islice(source.frames(threading.Event()), 1)
    assert frame.number == 2 and source._thread.is_alive()
    source.close()


def test_a_network_camera_is_read_and_read_again_after_it_was_lost() -> None:
    """Through FFmpeg and a real socket: a server that hangs up after ten pictures."""
    data = cv2.imencode(".jpg", scene(1))[1].tobytes()
    part = (
        b"--x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
        + data
        + b"\r\n"
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=x")
            self.end_headers()
            self.wfile.write(part * 10)

        def log_message(self, *arguments: object) -> None:
            return None

    said: list[str] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://bob:s3cr3t@127.0.0.1:{server.server_port}/live"
        source = open_source(address, on_message=said.append)
        frame = next(
            frame for frame in source.frames(threading.Event()) if source.statistics.reconnects
        )
        source.close()
        server.shutdown()
    assert frame.number >= 10 and frame.image.shape == (96, 128, 3)
    assert frame.camera == f"127.0.0.1-{server.server_port}-live" and "s3cr3t" not in "".join(
        [source.name, *said]
    )
