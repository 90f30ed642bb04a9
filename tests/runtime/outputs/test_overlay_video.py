"""An overlay video can be read again, and has its final name only when it is whole."""

from __future__ import annotations

import dataclasses
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.errors import EdgesegError
from edgeseg.imaging.video.recorded_video import open_recorded_video
from edgeseg.runtime.outputs.overlay_video import OverlayVideoSink
from tests.helpers.bundles import CLASSES, COLORS
from tests.helpers.predictions import gray_frame, quarter_prediction


def read_video(path: Path) -> list[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    return frames


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "deep/er/out.mkv"])
def test_a_video_appears_whole_or_not_at_all(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sink = OverlayVideoSink(path, CLASSES, 5)
    for number in range(6):
        sink.write(gray_frame(number), quarter_prediction())
        assert not path.exists()
    sink.finish()
    frames = read_video(path)
    assert len(frames) == 6 and frames[0].shape == (480, 640, 3)
    assert os.listdir(path.parent) == [path.name]
    corner = (
        frames[0][-60:-20, -60:-20].reshape(-1, 3).mean(0)[::-1]
    )  # of the last class, far from the legend
    assert corner == pytest.approx(0.55 * 128 + 0.45 * COLORS[3], abs=12)


def test_frames_keep_their_times_and_the_next_video_goes_on(tmp_path: Path) -> None:
    sink = OverlayVideoSink(tmp_path / "out.mp4", CLASSES, 25)
    for time in (0.0, 0.033, 0.5, 3.0, 0.0, 0.04):  # the fifth begins another file
        sink.write(dataclasses.replace(gray_frame(), time=time), quarter_prediction())
    sink.finish()
    with open_recorded_video(tmp_path / "out.mp4") as video:
        times = [frame.time for frame in video.frames()]
    assert times == pytest.approx([0, 0.033, 0.5, 3.0, 3.04, 3.08], abs=1e-3)


def test_pictures_have_no_times_and_other_sizes_are_scaled(tmp_path: Path) -> None:
    sink = OverlayVideoSink(tmp_path / "out.mkv", CLASSES, None)
    for size in ((120, 160), (300, 200), (15, 11)):
        sink.write(dataclasses.replace(gray_frame(0, *size), time=None), quarter_prediction())
    sink.finish()
    with open_recorded_video(tmp_path / "out.mkv") as video:
        frames = list(video.frames())
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.2])
    assert {(frame.frame.height, frame.frame.width) for frame in frames} == {(480, 640)}


def test_an_aborted_video_stays_under_its_partial_name(tmp_path: Path) -> None:
    sink = OverlayVideoSink(tmp_path / "out.mp4", CLASSES, 5)
    sink.write(gray_frame(), quarter_prediction())
    sink.abort()
    assert os.listdir(tmp_path) == ["out.partial.mp4"]


def test_an_older_video_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"old")
    sink = OverlayVideoSink(tmp_path / "out.mp4", CLASSES, 5)
    sink.write(gray_frame(), quarter_prediction())
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    sink.finish()
    assert len(read_video(tmp_path / "out.mp4")) == 1


def test_a_full_disk_is_told_and_what_there_is_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(io.FileIO):
        def write(self, data: object) -> int:
            if self.tell() > 300_000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)  # type: ignore[arg-type]

    def open_full(path: Path, mode: str) -> io.BufferedWriter:
        return io.BufferedWriter(FullDisk(path, mode))

    monkeypatch.setattr("edgeseg.runtime.outputs.overlay_video.open", open_full, raising=False)
    sink, noise = OverlayVideoSink(tmp_path / "out.mp4", CLASSES, 5), np.random.default_rng(0)
    with pytest.raises(EdgesegError, match=r"out\.partial\.mp4 cannot be written \(No space left"):
        for number in range(60):
            blocks = np.kron(noise.integers(0, 256, (12, 16, 3), np.uint8), np.ones((20, 20, 1)))
            frame = dataclasses.replace(gray_frame(number), image=blocks.astype(np.uint8))
            sink.write(frame, quarter_prediction())
    sink.abort()
    assert os.listdir(tmp_path) == ["out.partial.mp4"]
    assert len(read_video(tmp_path / "out.partial.mp4")) > 3


def test_a_place_that_cannot_take_a_video_is_named_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(EdgesegError, match="cannot be made"):
        OverlayVideoSink(tmp_path / "file" / "out.mp4", CLASSES, 5)
    with pytest.raises(EdgesegError, match=r"\.gif cannot be written"):
        OverlayVideoSink(tmp_path / "out.gif", CLASSES, 5)


def test_a_killed_run_leaves_no_video_under_the_final_name(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from edgeseg.runtime.outputs.overlay_video import OverlayVideoSink
from tests.helpers.bundles import CLASSES
from tests.helpers.predictions import gray_frame, quarter_prediction
sink = OverlayVideoSink(Path(sys.argv[1]), CLASSES, 5)
for number in range(10):
    sink.write(gray_frame(number), quarter_prediction())
os.kill(os.getpid(), 9)
"""
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "out.mp4"), root], timeout=120
    )
    assert done.returncode == -9 and not (tmp_path / "out.mp4").exists()
