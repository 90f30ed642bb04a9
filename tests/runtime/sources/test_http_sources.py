"""An HTTP address is a recording or a live camera by what a real server answers."""

from __future__ import annotations

import base64
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from edgeseg.errors import SourceError
from edgeseg.runtime.sources import http_answer, network_stream
from edgeseg.runtime.sources.base import Source
from edgeseg.runtime.sources.live_camera import LiveCamera
from edgeseg.runtime.sources.open_source import open_source
from edgeseg.runtime.sources.video_files import VideoFiles
from tests.helpers.videos import encode_video, number_of, plain_picture

COUNT = 12
CLIP = encode_video([plain_picture(number) for number in range(COUNT)], "matroska")
ENDLESS = encode_video(
    [plain_picture(number) for number in range(40)], movflags="frag_keyframe+empty_moov"
)
SEGMENT = encode_video([plain_picture(number) for number in range(COUNT)], "mpegts")
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n"
PLAYLIST += "".join(f"#EXTINF:1.2,\nsegment{number}.ts\n" for number in range(4))


class Camera(http.server.BaseHTTPRequestHandler):
    """Serves each path in another way."""

    asked: list[tuple[str, str]]

    def do_HEAD(self) -> None:
        self.asked.append(("HEAD", self.path))
        if "nohead" in self.path:
            self.send_error(405)
        else:
            self.answer(with_body=False)

    def do_GET(self) -> None:
        self.asked.append(("GET", self.path))
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/ranges/clip.mp4")
            self.end_headers()
        elif path.startswith("/secret") and self.headers.get("Authorization") != (
            "Basic " + base64.b64encode(b"bob:s3cr3t").decode()
        ):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
        elif path.endswith(".mjpeg"):
            self.parts(with_body)
        elif path.endswith(".m3u8"):
            ending = PLAYLIST.partition("#EXTINF:1.2,\nsegment1")[0] + "#EXT-X-ENDLIST\n"
            text = ending if "whole" in path else PLAYLIST
            self.whole(text.encode(), with_body, "application/vnd.apple.mpegurl")
        elif path.endswith(".ts"):
            self.whole(SEGMENT, with_body)
        elif path.startswith(("/ranges", "/nohead", "/secret")):
            self.ranges(CLIP, with_body)
        elif path.startswith("/plain"):
            self.whole(CLIP, with_body)
        elif path.startswith("/growing"):
            self.whole(ENDLESS + bytes(len(self.asked)), with_body)
        elif path.startswith("/silent"):
            time.sleep(3)
        elif path.startswith("/stream"):
            self.send_response(200)  # without a length
            self.end_headers()
            if with_body:
                self.wfile.write(ENDLESS)
        else:
            self.send_error(404)

    def whole(self, data: bytes, with_body: bool, kind: str = "video/mp4") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def ranges(self, data: bytes, with_body: bool) -> None:
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(data)), len(data) - 1)
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start + 1))
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(data)}")
        self.end_headers()
        if with_body:
            self.wfile.write(data[start : end + 1])

    def parts(self, with_body: bool) -> None:
        """Ten pictures, then the camera hangs up, or is silent; the fifth is damaged."""
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(10 if with_body else 0):
            data = cv2.imencode(".jpg", plain_picture(number)[..., ::-1])[1].tobytes()
            data = b"\xff\xd8" + bytes(500) if number == 4 else data
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")
        if with_body and "frozen" in self.path:
            time.sleep(3)

    def log_message(self, *arguments: object) -> None:
        return None

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            return  # the client has heard enough


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(http_answer, "GROWTH_SECONDS", 0.02)
    monkeypatch.setattr(network_stream, "AFTER_QUESTION_SECONDS", 0.02)
    Camera.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()


def opened(address: str, said: list[str] | None = None) -> Source:
    return open_source(address, on_message=(said if said is not None else []).append)


@pytest.mark.parametrize(
    "path",
    [
        "ranges/clip.mp4",
        "ranges/anything",
        "nohead/clip.mp4",
        "plain/clip.mp4",
        "moved",
        "whole.m3u8",
    ],
)
def test_what_has_a_length_is_a_recording(server: str, path: str) -> None:
    source = opened(f"http://{server}/{path}")
    assert isinstance(source, VideoFiles)
    frames = list(source.frames(threading.Event()))
    assert [number_of(frame.image) for frame in frames] == list(range(COUNT))
    assert frames[-1].time == pytest.approx(1.1) and not source.statistics.notes


@pytest.mark.parametrize(
    "path", ["stream.mp4", "api/stream.mjpeg?src=cam", "growing/clip.mp4", "live.m3u8"]
)
def test_what_has_none_is_a_camera(server: str, path: str) -> None:
    source = opened(f"http://{server}/{path}")
    assert isinstance(source, LiveCamera)
    frame = next(iter(source.frames(threading.Event())))
    source.close()
    assert frame.image.shape == plain_picture(0).shape


def test_a_camera_is_called_again_and_not_dropped_for_a_damaged_picture(server: str) -> None:
    said: list[str] = []
    source = opened(f"http://{server}/api/stream.mjpeg?src=cam&token=abc", said)
    frames = source.frames(threading.Event())
    next(frame for frame in frames if source.statistics.reconnects)
    source.close()
    assert said[0].endswith("was lost after 9 frames; trying again until it returns")
    assert said[1].endswith("is back") and "abc" not in "".join(said)


def test_a_camera_that_falls_silent_is_noticed(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_stream, "READ_SECONDS", 0.4)
    lost = threading.Event()
    source = open_source(f"http://{server}/frozen.mjpeg", on_message=lambda message: lost.set())
    assert lost.wait(2)
    source.close()


def test_a_password_lets_in_and_is_never_said(server: str) -> None:
    source = opened(f"http://bob:s3cr3t@{server}/secret/clip.mp4")
    assert isinstance(source, VideoFiles) and len(list(source.frames(threading.Event()))) == COUNT
    assert source.name == f"http://bob:***@{server}/secret/clip.mp4"
    with pytest.raises(SourceError, match="wants another user or password") as caught:
        opened(f"http://bob:wr0ng@{server}/secret/clip.mp4")
    assert "wr0ng" not in str(caught.value)


def test_a_wrong_address_is_told(server: str) -> None:
    with pytest.raises(SourceError, match="is not there"):
        opened(f"http://{server}/nowhere.mp4")
    with pytest.raises(SourceError, match="cannot be opened"):
        opened("http://127.0.0.1:9/clip.mp4")


def test_a_silent_server_is_given_up(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((http_answer, "ASK_SECONDS"), (network_stream, "OPEN_SECONDS")):
        monkeypatch.setattr(module, name, 0.2)
    began = time.monotonic()
    with pytest.raises(SourceError, match="cannot be opened"):
        opened(f"http://{server}/silent")
    assert time.monotonic() - began < 3


def test_dash_is_refused_with_the_cure(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("av.formats_available", set())
    answer = http_answer.HttpAnswer(200, "application/dash+xml", 9, True, "http://cam/a.mpd")
    assert answer.is_playlist
    with pytest.raises(SourceError, match="DASH"):
        network_stream.is_finished_playlist("http://cam/a.mpd?x=1")


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("http://cam/x", ("http://cam/x", "", "")),
        ("http://bob:a%40b@cam:81/x?y=1", ("http://cam:81/x?y=1", "bob", "a@b")),
        ("https://bob@cam", ("https://cam/", "bob", "")),
        ("http://cam/a b", ("http://cam/a%20b", "", "")),
    ],
)
def test_credentials_are_taken_out_of_an_address(address: str, parts: tuple[str, str, str]) -> None:
    assert http_answer.split_credentials(address) == parts


def test_a_folder_is_no_address(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no picture or video"):
        open_source(f"file://{tmp_path}")
