"""What is written can be read again, is what was predicted, and has its final name only when it is
whole.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.config import ClassSpec
from edgeseg.errors import EdgesegError
from edgeseg.imaging.palette_png import as_gray, palette_png
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.bundle_evaluation import read_index
from edgeseg.runtime.outputs import base as sinks
from edgeseg.runtime.outputs.base import JsonSink, LogSink, MaskSink, PictureSink, VideoSink
from edgeseg.runtime.outputs.overlay import Overlay
from edgeseg.runtime.sources.base import Frame
from tests.helpers.bundles import CLASSES, COLORS

MASK = np.arange(4, dtype=np.uint8).reshape(2, 2).repeat(8, 0).repeat(12, 1)  # four quarters


def frame(number: int = 0, height: int = 120, width: int = 160) -> Frame:
    image = np.full((height, width, 3), 128, np.uint8)
    return Frame(image, number, f"{number:06d}", "gate", number / 10, time.monotonic_ns())


def prediction(mask: NDArray[np.uint8] = MASK) -> Prediction:
    return Prediction(
        mask[None],
        np.zeros((1, 4, 4), np.float32),
        np.full(1, 0.25, np.float32),
        np.full((1, 4), 0.25, np.float32),
    )


def read_video(path: Path) -> list[NDArray[np.uint8]]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    return frames


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "deep/er/out.mkv"])
def test_a_video_appears_whole_or_not_at_all(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sink = VideoSink(path, CLASSES, 5)
    for number in range(6):
        sink.write(frame(number), prediction())
        assert not path.exists()
    sink.finish()
    frames = read_video(path)
    assert len(frames) == 6 and frames[0].shape == (480, 640, 3)
    assert os.listdir(path.parent) == [path.name]
    corner = (
        frames[0][-60:-20, -60:-20].reshape(-1, 3).mean(0)[::-1]
    )  # of the last class, far from the legend
    assert corner == pytest.approx(0.55 * 128 + 0.45 * COLORS[3], abs=12)


def test_an_aborted_video_stays_under_its_partial_name(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", CLASSES, 5)
    sink.write(frame(), prediction())
    sink.abort()
    assert os.listdir(tmp_path) == ["out.partial.mp4"]


def test_an_older_video_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"old")
    sink = VideoSink(tmp_path / "out.mp4", CLASSES, 5)
    sink.write(frame(), prediction())
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    sink.finish()
    assert len(read_video(tmp_path / "out.mp4")) == 1


def test_a_video_that_did_not_reach_the_disk_is_an_error(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", CLASSES, 5)
    for number in range(3):
        sink.write(frame(number), prediction())
    sink._frames += 2  # as if OpenCV had quietly lost two
    with pytest.raises(EdgesegError, match="3 of 5 frames"):
        sink.finish()
    assert not (tmp_path / "out.mp4").exists()


def test_places_that_cannot_be_written_are_told_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(EdgesegError, match="cannot be made"):
        VideoSink(tmp_path / "file" / "out.mp4", CLASSES, 5)
    with pytest.raises(EdgesegError, match="cannot be made"):
        MaskSink(tmp_path / "file", CLASSES)
    with pytest.raises(EdgesegError, match=r"\.gif cannot be written"):
        VideoSink(tmp_path / "out.gif", CLASSES, 5)


def test_pictures_and_masks_are_named_like_the_frames(tmp_path: Path) -> None:
    one, other = PictureSink(tmp_path / "p", CLASSES, ".png"), MaskSink(tmp_path / "m", CLASSES)
    for sink in (one, other):
        sink.write(frame(7), prediction())
        sink.finish()
    assert os.listdir(tmp_path / "p") == os.listdir(tmp_path / "m") == ["000007.png"]
    mask = read_index(tmp_path / "m" / "000007.png")
    assert mask.shape == (120, 160)  # the frame's own size
    assert np.array_equal(mask, np.kron(np.arange(4).reshape(2, 2), np.ones((60, 80), np.int64)))


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **rest: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sinks, "write_atomic", full)
    with pytest.raises(EdgesegError, match="No space left"):
        MaskSink(tmp_path, CLASSES).write(frame(), prediction())


def test_masks_open_in_color_and_hold_indices(tmp_path: Path) -> None:
    from PIL import Image

    mask = MASK.copy()
    mask[0, 0] = 255
    data = palette_png(mask, [spec.rgb for spec in CLASSES])
    (tmp_path / "m.png").write_bytes(data)
    opened = Image.open(io.BytesIO(data))
    assert opened.mode == "P" and np.array_equal(np.array(opened), mask)
    assert np.array_equal(np.array(opened.convert("RGB"))[-1, -1], COLORS[3])
    assert np.array_equal(read_index(tmp_path / "m.png"), mask)
    assert np.array_equal(
        read_index(tmp_path / "m.png", ignore=[2]) == 255, (mask == 2) | (mask == 255)
    )
    assert as_gray(b"anything else") == b"anything else" and as_gray(
        data[:40]
    )  # truncated: OpenCV refuses it later


def test_json_lines_hold_score_and_area_by_class() -> None:
    stream, stop = io.StringIO(), threading.Event()
    sink = JsonSink(stream, CLASSES, stop)
    sink.write(frame(3), prediction())
    sink.write(frame(4), prediction())
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert lines[0] == {
        "frame": 3,
        "name": "000003",
        "camera": "gate",
        "time": 0.3,
        "score": 0.25,
        "area": {spec.name: 0.25 for spec in CLASSES},
    }
    assert lines[1]["frame"] == 4 and not stop.is_set()


def test_a_reader_that_leaves_ends_the_run_quietly() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    stop = threading.Event()
    sink = JsonSink(Closed(), CLASSES, stop)
    sink.write(frame(), prediction())
    sink.write(frame(), prediction())
    assert stop.is_set() and sink.unheard


def test_the_log_is_offered_the_original_frame_in_rgb() -> None:
    offered: list[dict[str, object]] = []

    class Log:
        def offer(self, image_rgb: NDArray[np.uint8], **rest: object) -> None:
            offered.append({"image": image_rgb.copy(), **rest})

    shown = frame()
    shown.image[..., 0] = 7  # blue
    LogSink(Log()).write(shown, prediction())
    (record,) = offered
    assert np.asarray(record["image"])[0, 0].tolist() == [128, 128, 7]
    assert (record["camera"], record["score"], record["monotonic_ns"]) == (
        "gate",
        0.25,
        shown.monotonic_ns,
    )
    assert np.asarray(record["mask"]).shape == MASK.shape and np.asarray(
        record["entropy"]
    ).shape == (4, 4)


@pytest.mark.parametrize("size", [(30, 40), (480, 640), (1081, 1921), (2000, 100)])
@pytest.mark.parametrize("count", [2, 11, 64])
def test_overlays_have_a_sensible_even_size_and_a_legend(size: tuple[int, int], count: int) -> None:
    classes = tuple(
        ClassSpec(name=f"Größe {index}", color=f"#{index * 4:02x}80ff") for index in range(count)
    )
    overlay = Overlay(classes, *size)
    image = np.full((*size, 3), 255, np.uint8)
    picture = overlay.draw(
        image, np.zeros((8, 8), np.uint8), 0.5, np.full(count, 1 / count, np.float32)
    )
    assert picture.shape == (overlay.height, overlay.width, 3) and not (
        overlay.height % 2 or overlay.width % 2
    )
    assert max(picture.shape) <= 1280 and max(picture.shape) >= 638
    assert (
        picture[6:20, 40:60].mean() < picture[-20:, -20:].mean()
    )  # the legend's box is darker than the rest
    assert image.min() == 255  # the frame itself is left alone


def test_a_killed_run_leaves_no_video_under_the_final_name(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.runtime.test_sinks import CLASSES, VideoSink, frame, prediction
sink = VideoSink(Path(sys.argv[1]), CLASSES, 5)
for number in range(10):
    sink.write(frame(number), prediction())
os.kill(os.getpid(), 9)
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "out.mp4"), root], timeout=120
    )
    assert done.returncode == -9 and not (tmp_path / "out.mp4").exists()
