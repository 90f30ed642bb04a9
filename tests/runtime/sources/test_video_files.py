"""Video files as a source: names, folders, notes, and frames of more than 8 bits."""

from __future__ import annotations

import io
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.runtime.sources.open_source import open_source
from edgeseg.runtime.sources.source_names import unique_names, unique_safe_names
from tests.helpers.videos import encode_video, noisy_pictures, number_of, numbered_video, overwrite


def test_a_folder_is_walked_and_clips_of_one_name_stay_apart(tmp_path: Path) -> None:
    for name in ("b/clip.mp4", "a/clip.mp4", "a/clip.mts", ".hidden/clip.mp4", "ä.mp4", "ö.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        container = "mpegts" if name.endswith("mts") else "mp4"
        numbered_video(tmp_path / name, 2, container)
    source = open_source(str(tmp_path))
    frames = list(source.frames(threading.Event()))
    assert len({frame.name for frame in frames}) == len(frames) == 10
    assert [number_of(frame.image) for frame in frames] == [0, 1] * 5
    assert frames[0].name != frames[2].name and frames[4].name.startswith("a__clip")


def test_a_named_file_needs_no_suffix(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "recording", 3)
    assert len(list(open_source(str(path)).frames(threading.Event()))) == 3
    assert len(list(open_source(f"file://{path}").frames(threading.Event()))) == 3


def test_what_is_damaged_or_unreadable_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(overwrite(encode_video(noisy_pictures(60)), 0.2, 3000))
    (tmp_path / "b.mp4").write_text("no video")
    source = open_source(str(tmp_path))
    list(source.frames(threading.Event()))
    assert source.statistics.unreadable == ["b.mp4"]
    damaged, text = source.statistics.notes
    assert damaged.startswith("a.mp4 has ") and "damaged frame" in damaged
    assert text == "b.mp4 holds text, no video"


def test_nothing_readable_names_the_first_reason(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    (tmp_path / "b.mp4").touch()
    with pytest.raises(SourceError, match=r"a\.mp4 holds text, no video; nor can 1 more files"):
        open_source(str(tmp_path))


def deep_video(path: Path, lowest: int, highest: int) -> Path:
    """A 16-bit gray video whose values lie in this range."""
    file = io.BytesIO()
    values = np.random.default_rng(0).integers(lowest, highest, (2, 48, 64)).astype(np.uint16)
    with av.open(file, "w", format="matroska") as output:
        stream: Any = output.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray16le"
        for number, picture in enumerate(values):
            frame = av.VideoFrame.from_ndarray(picture, format="gray16le")
            frame.pts, frame.time_base = number, Fraction(1, 5)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    path.write_bytes(file.getvalue())
    return path


def test_deep_gray_takes_the_range_of_the_bundle(tmp_path: Path) -> None:
    path = str(deep_video(tmp_path / "thermal.mkv", 7000, 8500))
    frames = list(open_source(path, depth=DepthRange(7000, 8500)).frames(threading.Event()))
    assert np.ptp(frames[0].image) > 250 and np.ptp(frames[1].image) > 250
    with pytest.raises(SourceError, match=r"thermal\.mkv has more than 8 bits and uses 70.. to"):
        list(open_source(path).frames(threading.Event()))
    with pytest.raises(SourceError, match="is for floating-point pixels"):
        floating = DepthRange(20.0, 40.0, floating=True)
        list(open_source(path, depth=floating).frames(threading.Event()))


def test_deep_gray_without_a_range_is_told(tmp_path: Path) -> None:
    source = open_source(str(deep_video(tmp_path / "full.mkv", 0, 65536)))
    frames = list(source.frames(threading.Event()))
    assert np.ptp(frames[0].image) > 250
    assert "full.mkv hold more than 8 bits" in source.statistics.notes[0]


def test_names_are_unique_and_fit_into_a_file_system() -> None:
    paths = [Path("a" * 200, "x" * 200 + ".mp4"), Path("b" * 200, "x" * 200 + ".mp4")]
    names = unique_names(paths)
    assert len(set(names)) == 2 and max(len(name.encode()) for name in names) <= 240
    assert unique_safe_names([Path("ä.mp4"), Path("ö.mp4"), Path("camera-2.mp4")]) == [
        "camera",
        "camera-2",
        "camera-2-2",
    ]
    assert unique_safe_names([Path("a/1.mp4"), Path("a/1.avi")]) == ["1.mp4", "1.avi"]
