"""Videos that people really have: each gives its frames, or one true sentence."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.video.frame_pixels import turned
from edgeseg.imaging.video.recorded_video import open_recorded_video
from edgeseg.imaging.video.timed_frame import UnreadableVideoError
from tests.helpers.videos import (
    HEIGHT,
    WIDTH,
    encode_video,
    noisy_pictures,
    number_of,
    numbered_video,
    overwrite,
    plain_picture,
)

ONE = 1 << 16


def read(path: Path) -> tuple[list[Image], list[float], list[str]]:
    """The pictures of a video, their times, and what it says was lost."""
    with open_recorded_video(path) as video:
        frames = [(frame.picture().rgb(), frame.time) for frame in video.frames()]
        return [image for image, _ in frames], [time for _, time in frames], video.losses()


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableVideoError) as caught:
        read(path)
    return str(caught.value)


WHOLE = [
    ("mp4", "libx264", "yuv420p"),
    ("mov", "libx264", "yuv420p"),
    ("mp4", "libsvtav1", "yuv420p"),
    ("mpegts", "libx264", "yuv420p"),
    ("h264", "libx264", "yuv420p"),
    ("mjpeg", "mjpeg", "yuvj420p"),
    ("avi", "mpeg4", "yuv420p"),
    ("webm", "libvpx", "yuv420p"),
    ("flv", "flv", "yuv420p"),
    ("3gp", "mpeg4", "yuv420p"),
    ("matroska", "ffv1", "yuv444p"),
    ("asf", "wmv2", "yuv420p"),
    ("mpeg", "mpeg2video", "yuv420p"),
]


@pytest.mark.parametrize(("container", "codec", "pixels"), WHOLE)
def test_every_frame_in_order_whatever_the_name_says(
    tmp_path: Path, container: str, codec: str, pixels: str
) -> None:
    fps = 25 if codec == "mpeg2video" else 10
    path = numbered_video(tmp_path / "clip.mp4", 12, container, codec=codec, pixels=pixels, fps=fps)
    images, times, losses = read(path)
    wrong = sum(number_of(image) != number for number, image in enumerate(images))
    # SVT-AV1 blurs one of these pictures into its neighbors.
    assert len(images) == 12 and wrong <= (codec == "libsvtav1") and losses == []
    step = 0.04 if container == "mjpeg" else 1 / fps  # of which nothing tells the rate
    assert np.diff(times) == pytest.approx([step] * 11, abs=0.002) and times[0] == 0


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="PyAV's x265 is unsound; needs ffmpeg")
@pytest.mark.parametrize("suffix", ["mp4", "hevc"])
def test_hevc_of_ten_bits(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    command = ["ffmpeg", "-v", "quiet", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{WIDTH}x{HEIGHT}", "-i", "-", "-c:v", "libx265", "-pix_fmt", "yuv420p10le"]
    pictures = b"".join(plain_picture(number).tobytes() for number in range(12))
    subprocess.run([*command, "-crf", "10", str(path)], input=pictures, check=True)
    assert [number_of(image) for image in read(path)[0]] == list(range(12))


NAMES = ["12:30:45.mp4", "-dash.mp4", "a b.mp4", "50%03d.mp4", "#1?x=2.mp4", "[1].mp4", "n\nl.mp4"]


@pytest.mark.parametrize("name", [*NAMES, "caf\udce9.mp4", "x" * 251 + ".mp4", "d:1/x.mp4", "none"])
def test_any_name_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    numbered_video(tmp_path / name, 2)
    (tmp_path / "link").symlink_to(name)
    monkeypatch.chdir(tmp_path)
    assert len(read(Path(name))[0]) == len(read(Path("link"))[0]) == 2


def test_damage_is_passed_over_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    whole = encode_video(noisy_pictures(60), fps=25)
    path.write_bytes(overwrite(whole, 0.2, 3000))
    with av.open(str(path)) as container:
        expected = sum(1 for _ in robust_count(container))
    images, times, losses = read(path)
    assert 40 <= len(images) == expected < 60
    assert f"{60 - expected} damaged frame" in losses[0] and times[-1] == pytest.approx(59 / 25)


def robust_count(container: av.container.InputContainer) -> Sequence[av.VideoFrame]:
    """What FFmpeg decodes when it is asked on after each error."""
    frames: list[av.VideoFrame] = []
    stream = container.streams.video[0]
    for packet in container.demux(stream):
        try:
            frames += packet.decode()
        except av.InvalidDataError:
            continue
    return frames


def test_a_truncated_file_gives_what_there_is(tmp_path: Path) -> None:
    whole = encode_video(noisy_pictures(40), "avi", codec="mjpeg", pixels="yuvj420p")
    path = tmp_path / "clip.avi"
    path.write_bytes(whole[: len(whole) // 2])
    images, _, [loss, *_] = read(path)
    assert 10 < len(images) < 30
    assert loss == f"ended after {len(images)} of 40 frames: the file is truncated or damaged"
    path = tmp_path / "clip.mkv"
    whole = encode_video(noisy_pictures(100), "matroska")
    path.write_bytes(whole[: len(whole) // 2])
    assert "of 10 seconds: the file is truncated" in read(path)[2][0]


@pytest.mark.parametrize(
    "movflags", ["frag_keyframe+empty_moov", "frag_keyframe+default_base_moof"]
)
def test_what_knows_no_length_is_no_fault(tmp_path: Path, movflags: str) -> None:
    path = numbered_video(tmp_path / "fragmented.mp4", 30, movflags=movflags)
    assert len(read(path)[0]) == 30 and read(path)[2] == []


def test_joined_recordings_go_on_in_time(tmp_path: Path) -> None:
    part = encode_video([plain_picture(number) for number in range(20)], "mpegts", fps=10)
    path = tmp_path / "joined.ts"
    path.write_bytes(part * 3)
    images, times, losses = read(path)
    assert len(images) == 60 and losses == []
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert times[-1] == pytest.approx(5.9, abs=0.5)


def test_a_varying_rate_keeps_its_times(tmp_path: Path) -> None:
    wanted = [0.0, 0.033, 0.5, 0.52, 3.0, 3.1, 47.0]
    pictures = [plain_picture(number) for number in range(7)]
    for name, container in (("a.mp4", "mp4"), ("a.mkv", "matroska")):
        path = tmp_path / name
        path.write_bytes(encode_video(pictures, container, times=wanted))
        assert read(path)[1] == pytest.approx(wanted, abs=0.002)


def test_a_clock_that_begins_late_is_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    times = [5 + number / 10 for number in range(12)]
    pictures = [plain_picture(number) for number in range(12)]
    path.write_bytes(encode_video(pictures, "matroska", times=times))
    images, found, losses = read(path)
    assert len(images) == 12 and found[0] == 0 and losses == []


def test_frames_that_a_decoder_leaves_out_in_silence_are_told(tmp_path: Path) -> None:
    whole = encode_video([plain_picture(number) for number in range(60)], "mpegts")
    path = tmp_path / "clip.ts"
    path.write_bytes(whole[len(whole) // 10 // 188 * 188 :])  # from the middle of a group on
    images, _, losses = read(path)
    assert 40 < len(images) < 60 and losses != []


def test_a_size_that_changes_inside_goes_on(tmp_path: Path) -> None:
    parts = [
        encode_video([plain_picture(number, *size) for number in range(12)], "mpegts")
        for size in ((64, 48), (96, 80))
    ]
    (tmp_path / "clip.ts").write_bytes(b"".join(parts))
    images, _, losses = read(tmp_path / "clip.ts")
    assert [image.shape for image in images] == [(48, 64, 3)] * 12 + [(80, 96, 3)] * 12
    assert [number_of(image) for image in images] == [*range(12)] * 2 and losses == []


@pytest.mark.parametrize("container", ["mp4", "mov"])
@pytest.mark.parametrize(
    ("matrix", "corner"),
    [  # where the red corner of the upper left is shown
        ((ONE, 0, 0, ONE), "upper left"),
        ((0, ONE, -ONE, 0), "upper right"),  # a quarter turn to the right, as phones write it
        ((-ONE, 0, 0, -ONE), "lower right"),
        ((0, -ONE, ONE, 0), "lower left"),
        ((-ONE, 0, 0, ONE), "upper right"),  # mirrored
        ((ONE, 0, 0, -ONE), "lower left"),
        ((0, ONE, ONE, 0), "upper left"),
        ((0, -ONE, -ONE, 0), "lower right"),
    ],
)
def test_a_display_matrix_turns_and_mirrors(
    tmp_path: Path, container: str, matrix: tuple[int, int, int, int], corner: str
) -> None:
    a, b, c, d = matrix
    path = numbered_video(
        tmp_path / "clip.mp4", 2, container, matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30)
    )
    image = read(path)[0][0]
    assert image.shape == ((HEIGHT, WIDTH, 3) if a else (WIDTH, HEIGHT, 3))
    rows, columns = {"u": image[:20], "l": image[-20:]}, {"l": slice(0, 20), "r": slice(-20, None)}
    upper, left = corner.split()
    assert rows[upper[0]][:, columns[left[0]]].mean((0, 1)) == pytest.approx((220, 30, 30), abs=12)


def test_turning_is_exact() -> None:
    pixels = np.arange(6).reshape(2, 3)
    assert turned(pixels, (0, 1, -1, 0)).tolist() == [[3, 0], [4, 1], [5, 2]]
    assert turned(pixels, (0, 1, 1, 0)).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert turned(pixels, (-1, 0, 0, 1)).tolist() == [[2, 1, 0], [5, 4, 3]]


PIXELS = [
    ("ffv1", "yuv420p"),
    ("ffv1", "yuv422p10le"),
    ("ffv1", "yuva444p"),
    ("ffv1", "gray"),
    ("ffv1", "bgra"),
    ("png", "rgb24"),
    ("mjpeg", "yuvj422p"),
    ("rawvideo", "yuyv422"),
]


@pytest.mark.parametrize(("codec", "pixels"), PIXELS)
def test_pixels_are_those_of_ffmpeg(tmp_path: Path, codec: str, pixels: str) -> None:
    path = tmp_path / "clip.mkv"
    container = "mov" if codec == "png" else "matroska"
    path.write_bytes(encode_video(noisy_pictures(2), container, codec=codec, pixels=pixels))
    graph = av.filter.Graph()
    with av.open(str(path)) as opened:
        stream = opened.streams.video[0]
        chain = [graph.add_buffer(template=stream), graph.add("format", "rgb24")]
        chain.append(graph.add("buffersink"))
        for first, second in itertools.pairwise(chain):
            first.link_to(second)
        graph.configure()
        graph.push(next(iter(opened.decode(stream))))
    frame = graph.pull()
    assert isinstance(frame, av.VideoFrame)
    assert np.array_equal(read(path)[0][0], frame.to_ndarray())


@pytest.mark.parametrize(("pixels", "bits"), [("gray16le", 16), ("gray10le", 10), ("gray12le", 12)])
def test_deep_gray_keeps_its_values(tmp_path: Path, pixels: str, bits: int) -> None:
    path = tmp_path / "thermal.mkv"
    path.write_bytes(encode_video(noisy_pictures(2), "matroska", codec="ffv1", pixels=pixels))
    with open_recorded_video(path) as video:
        picture = next(iter(video.frames())).picture()
    assert picture.values.dtype == np.uint16 and picture.container is not None
    assert picture.container.high == 1 << bits
    assert 1 << bits - 2 < picture.values.max() < 1 << bits
    assert np.array_equal(picture.rgb()[..., 0], picture.values >> bits - 8)


def clip() -> bytes:
    return encode_video([plain_picture(number) for number in range(3)])


FAULTS: list[tuple[str, Callable[[], bytes], str]] = [
    ("empty", lambda: b"", "is empty"),
    ("text", lambda: b"no video\n" * 99, "holds text, no video"),
    ("zeros", lambda: bytes(5000), "holds zeros where a video would begin"),
    ("noise", lambda: os.urandom(5000), "is no video that FFmpeg knows"),
    ("playlist", lambda: b"#EXTM3U\nother.mp4\n", "is a playlist"),
    ("unfinished", lambda: clip().partition(b"moov")[0][:-4], r"its index \(moov\)"),
    (
        "unknown",
        lambda: clip().replace(b"avc1", b"zzzz"),
        "holds zzzz video, for which there is no",
    ),
    ("header", lambda: clip().replace(b"mdat", b"free")[:0] + sound(), "holds sound, but no video"),
]


def sound() -> bytes:
    import io

    file = io.BytesIO()
    with av.open(file, "w", format="wav") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
    return file.getvalue()


@pytest.mark.parametrize(("name", "make", "words"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_what_is_no_video_gets_its_own_sentence(
    tmp_path: Path, name: str, make: Callable[[], bytes], words: str
) -> None:
    path = tmp_path / f"{name}.mp4"
    path.write_bytes(make())
    with pytest.raises(UnreadableVideoError, match=words):
        read(path)


def test_a_codec_that_gives_nothing_is_named_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    whole = encode_video(noisy_pictures(20))
    start, end = whole.find(b"mdat") + 4, whole.find(b"moov") - 4  # all packets are rubbish
    path.write_bytes(whole[:start] + os.urandom(end - start) + whole[end:])
    said = refusal(path)
    assert "holds h264 video of which no frame can be decoded here" in said
    assert "ffmpeg -i IN -c:v libx264 OUT.mp4" in said


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.mp4") == "cannot be read (No such file or directory)"
    assert refusal(tmp_path / ("x" * 300)) == "cannot be read (File name too long)"


def test_a_file_opens_no_other(tmp_path: Path) -> None:
    numbered_video(tmp_path / "secret.mp4", 2)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    assert "text" in refusal(tmp_path / "list.mp4") or "FFmpeg" in refusal(tmp_path / "list.mp4")
