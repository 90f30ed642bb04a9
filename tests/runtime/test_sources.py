"""Every address finds its source or a sentence; files never lose a frame, cameras never hand out an
old one.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.errors import SourceError
from edgeseg.imaging.image_codec import read_image
from edgeseg.runtime.sources import live_camera as camera
from edgeseg.runtime.sources.base import Frame, redact, safe_name
from edgeseg.runtime.sources.live_camera import LiveCamera
from edgeseg.runtime.sources.open_source import open_source
from tests.helpers.footage import huge_png, save, scene, video

Picture = NDArray[np.uint8]


def every(address: str, camera: str | None = None) -> list[Frame]:
    return list(open_source(address, camera=camera).frames(threading.Event()))


def pictures(folder: Path, names: list[str]) -> list[Path]:
    return [save(folder / name, scene(seed)) for seed, name in enumerate(names)]


# -------------------------------------------------------------------------------------------------------------
# pictures


def test_a_folder_gives_its_pictures_in_natural_order(tmp_path: Path) -> None:
    pictures(tmp_path / "yard", ["f10.png", "f2.png", "f1.PNG"])
    (tmp_path / "yard" / "notes.txt").write_text("x")
    frames = every(str(tmp_path / "yard"))
    assert [frame.name for frame in frames] == ["f1", "f2", "f10"]
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert {frame.camera for frame in frames} == {"yard"} and frames[0].time is None
    assert np.array_equal(frames[0].rgb, scene(2))  # BGR inside, RGB on request


def test_a_glob_and_a_single_picture(tmp_path: Path) -> None:
    pictures(tmp_path, ["a1.png", "b1.png", "a2.png"])
    assert [frame.name for frame in every(str(tmp_path / "a*.png"), camera="gate")] == ["a1", "a2"]
    assert [frame.camera for frame in every(f"file://{tmp_path}/b1.png", camera="gate")] == ["gate"]


def test_names_stay_unique_when_stems_do_not(tmp_path: Path) -> None:
    pictures(tmp_path, ["x/1.png", "y/1.png", "y/2.png"])
    assert [frame.name for frame in every(str(tmp_path / "*" / "*.png"))] == [
        "x__1",
        "y__1",
        "y__2",
    ]
    pictures(tmp_path / "same", ["1.png", "1.jpg"])
    assert len({frame.name for frame in every(str(tmp_path / "same"))}) == 2


def test_unreadable_pictures_are_named_and_left_out(tmp_path: Path) -> None:
    good, cut, empty, text = pictures(tmp_path, ["1.png", "2.jpg", "3.png", "4.jpg"])
    cut.write_bytes(cut.read_bytes()[:-200])
    empty.write_bytes(b"")
    text.write_text("no picture")
    huge_png(tmp_path / "5.png")
    source = open_source(str(tmp_path))
    assert [frame.name for frame in source.frames(threading.Event())] == [good.stem]
    assert source.statistics.unreadable == ["2.jpg", "3.png", "4.jpg", "5.png"]


def test_a_truncated_png_is_no_picture(tmp_path: Path) -> None:
    (path,) = pictures(tmp_path, ["1.png"])
    path.write_bytes(path.read_bytes()[:-20])
    assert read_image(path) is None and read_image(tmp_path / "missing.png") is None


def test_no_readable_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"no readable picture.*1\.png"):
        every(str(tmp_path))


# ---------------------------------------------------------------------------------------------------------------
# videos


def test_a_video_gives_every_frame_with_its_time(tmp_path: Path) -> None:
    path = video(tmp_path / "clip one.avi", [scene(seed) for seed in range(7)], fps=5)
    source = open_source(str(path))
    assert (source.total, source.fps, source.live) == (7, 5.0, False)
    frames = list(source.frames(threading.Event()))
    assert [frame.name for frame in frames] == [f"{number:06d}" for number in range(7)]
    assert {frame.camera for frame in frames} == {"clip-one"}
    assert [frame.time for frame in frames] == pytest.approx(
        [number / 5 for number in range(7)], abs=0.21
    )
    assert np.abs(frames[3].rgb.astype(int) - scene(3)).mean() < 12 and not source.statistics.notes


def test_videos_of_a_folder_play_one_after_another(tmp_path: Path) -> None:
    for name in ("b.avi", "a.avi"):
        video(tmp_path / name, [scene(1), scene(2)])
    (tmp_path / "c.avi").write_bytes(b"nonsense")
    source = open_source(str(tmp_path))
    assert [frame.name for frame in source.frames(threading.Event())] == [
        "a-000000",
        "a-000001",
        "b-000000",
        "b-000001",
    ]
    assert source.statistics.unreadable == ["c.avi"]


def test_a_truncated_video_ends_early_and_says_so(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.avi", [scene(seed) for seed in range(40)])
    data = path.read_bytes()
    index = data.rindex(b"idx1")
    path.write_bytes(data[: index // 2])
    source = open_source(str(path))
    frames = list(source.frames(threading.Event()))
    assert 5 < len(frames) < 35
    assert source.statistics.notes == [
        f"clip.avi ended after {len(frames)} of 40 frames: the file is truncated or damaged"
    ]


def test_a_stopped_video_is_not_called_truncated(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.avi", [scene(seed) for seed in range(40)])
    source, stop = open_source(str(path)), threading.Event()
    frames = source.frames(stop)
    next(frames)
    stop.set()
    assert not list(frames) and not source.statistics.notes


# ---------------------------------------------------------------------------------------------------------------
# errors


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("", "empty"),
        ("nowhere.mp4", "does not exist"),
        ("no/*.jpg", "holds no picture"),
        ("gopher://host/x", "no known kind"),
        ("csi://left", "names no sensor"),
        ("webrtc://user:pass@host", "no known kind"),
    ],
)
def test_what_is_no_source_gets_a_sentence(address: str, what: str) -> None:
    with pytest.raises(SourceError, match=what) as caught:
        open_source(address)
    assert "pass@" not in str(caught.value)


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"nonsense" * 500)
    with pytest.raises(SourceError, match="cannot be opened as a video"):
        open_source(str(tmp_path / "clip.mp4"))


def test_a_folder_of_both_kinds_asks_for_one(tmp_path: Path) -> None:
    video(tmp_path / "a.avi", [scene(1)])
    pictures(tmp_path, ["a.png"])
    with pytest.raises(SourceError, match="pictures and videos"):
        open_source(str(tmp_path))


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no picture or video"):
        open_source(str(tmp_path))


def test_csi_needs_gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "    GStreamer:                   NO")
    with pytest.raises(SourceError, match="GStreamer"):
        open_source("csi://0")


def test_a_dead_stream_is_told_without_its_password(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError) as caught:
        open_source("rtsp://bob:s3cr3t@127.0.0.1:9/stream?token=abc")
    printed = str(caught.value) + "".join(capfd.readouterr())
    assert "bob:***@127.0.0.1" in printed and "s3cr3t" not in printed and "abc" not in printed


SECRETS = [
    "s3cr3t",
    "p@ss",
    "a:b",
    "per%cent",
    "sla/sh",
    "ümlaut",
    "with space",
    "q?x=1",
    "#hash",
    "a@b:c/d@e",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_redact_hides_every_password(secret: str) -> None:
    for text in (
        f"rtsp://bob:{secret}@10.0.0.7:554/live",
        f"cannot open http://bob:{secret}@cam/x.mp4",
    ):
        hidden = redact(text)
        assert secret not in hidden and "bob:***@" in hidden
        assert hidden.endswith(text[text.rindex("@") :])


def test_redact_hides_tokens_and_keeps_the_rest() -> None:
    assert (
        redact("http://cam/x?user=bob&password=geheim&ch=1")
        == "http://cam/x?user=bob&password=***&ch=1"
    )
    assert redact("rtsp://t0ken@cam/x") == "rtsp://***@cam/x"
    for plain in ("rtsp://cam:554/live", "/dev/video0", "clips/*.mp4", "mail bob@example.org"):
        assert redact(plain) == plain


def test_safe_names_are_file_names() -> None:
    assert safe_name("10.0.0.7:554/live/1") == "10.0.0.7-554-live-1"
    assert safe_name("../..") == "camera" and "/" not in safe_name("a/b")


# --------------------------------------------------------------------------------------------------------------
# cameras


class FakeCapture:
    """Gives `number` pictures, one whenever `ready` allows, then fails."""

    def __init__(self, number: int, ready: Callable[[], object] = lambda: None) -> None:
        self.left, self.ready, self.released = number, ready, False

    def read(self) -> tuple[bool, Picture | None]:
        self.ready()
        if not self.left:
            return False, None
        self.left -= 1
        return True, np.full((4, 4, 3), self.left, np.uint8)

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
    pauses = list(islice(camera.reconnect_pauses(1, 30), 50))
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
