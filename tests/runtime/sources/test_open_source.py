"""Every address finds its source or a sentence that says why not."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from edgeseg.errors import SourceError
from edgeseg.runtime.sources.open_source import open_source
from tests.helpers.footage import save_image, save_video, scene


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
    with pytest.raises(SourceError, match=r"clip\.mp4 holds text, no video"):
        open_source(str(tmp_path / "clip.mp4"))


def test_a_folder_of_both_kinds_asks_for_one(tmp_path: Path) -> None:
    save_video(tmp_path / "a.avi", [scene(1)])
    save_image(tmp_path / "a.png", scene(0))
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
