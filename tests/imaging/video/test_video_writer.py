"""Videos keep the times of their pictures, at rates that no clock of a camera has."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest

from edgeseg.imaging.video.recorded_video import open_recorded_video
from edgeseg.imaging.video.video_writer import FORMATS, LONGEST_STILL, TICKS_PER_SECOND, VideoWriter
from tests.helpers.videos import number_of, plain_picture


def write(path: Path, times: list[float], fps: float) -> None:
    with path.open("wb") as file:
        writer = VideoWriter(file, path.suffix, width=64, height=48, fps=fps)
        for number, time in enumerate(times):
            writer.write(plain_picture(number), time)
        writer.close()


def read(path: Path) -> tuple[list[int], list[float]]:
    with open_recorded_video(path) as video:
        frames = list(video.frames())
        return [number_of(frame.picture().rgb()) for frame in frames], [
            each.time for each in frames
        ]


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_can_be_read_again(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write(path, [number / 8 for number in range(6)], 8)
    numbers, times = read(path)
    assert len(numbers) == 6 and times == pytest.approx([number / 8 for number in range(6)])
    if suffix != ".webm":  # VP8 in real time is coarse
        assert numbers == list(range(6))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.pix_fmt in ("yuv420p", "yuvj420p")


@pytest.mark.parametrize("fps", [66.667, 99.123, 0.004, 1000, 30000 / 1001, 23.976, 7.5])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_odd_rates_are_kept(tmp_path: Path, suffix: str, fps: float) -> None:
    path = tmp_path / f"out{suffix}"
    wanted = [number / fps for number in range(5)]
    write(path, wanted, fps)
    slack = 0.0006 if suffix == ".mkv" else 0.001 / fps + 1 / TICKS_PER_SECOND
    assert read(path)[1] == pytest.approx(wanted, abs=slack)


def test_a_varying_rate_is_kept_and_a_gap_of_days_is_bounded(tmp_path: Path) -> None:
    wanted = [0.0, 0.04, 0.5, 0.52, 3.0, 100.0]
    write(tmp_path / "out.mp4", wanted, 25)
    assert read(tmp_path / "out.mp4")[1] == pytest.approx(wanted, abs=1e-4)
    write(tmp_path / "long.mp4", [0.0, 1.0, 300_000.0, 300_001.0], 25)
    longest = LONGEST_STILL / TICKS_PER_SECOND
    assert read(tmp_path / "long.mp4")[1] == pytest.approx(
        [0, 1, 1 + longest, 2 + longest], abs=1e-3
    )


def test_frames_at_one_moment_stay_apart(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", [0.0, 0.0, 0.0], 25)
    assert read(tmp_path / "out.mp4")[0] == [0, 1, 2]


def test_what_was_written_of_an_mp4_can_be_played(tmp_path: Path) -> None:
    file = io.BytesIO()
    writer = VideoWriter(file, ".mp4", width=64, height=48, fps=25)
    for number in range(60):
        writer.write(plain_picture(number), number / 25)
    (tmp_path / "killed.mp4").write_bytes(file.getvalue())
    assert len(read(tmp_path / "killed.mp4")[0]) in (25, 50)
    writer.close()
    (tmp_path / "whole.mp4").write_bytes(file.getvalue())
    assert len(read(tmp_path / "whole.mp4")[0]) == 60 and b"moof" not in file.getvalue()[:2000]
