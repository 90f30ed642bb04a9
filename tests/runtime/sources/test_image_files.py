"""Image and video files give every frame in order, and name what cannot be read."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.errors import SourceError
from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.imaging.image_codec import read_image
from edgeseg.runtime.sources.base import SourceFrame
from edgeseg.runtime.sources.open_source import open_source
from tests.helpers.footage import huge_png, save_image, save_video, scene
from tests.helpers.pictures import deep_png, encoded, save_bytes, thermal


def all_frames(address: str, camera: str | None = None) -> list[SourceFrame]:
    return list(open_source(address, camera=camera).frames(threading.Event()))


def save_scenes(folder: Path, names: list[str]) -> list[Path]:
    return [save_image(folder / name, scene(seed)) for seed, name in enumerate(names)]


def test_a_folder_gives_its_pictures_in_natural_order(tmp_path: Path) -> None:
    save_scenes(tmp_path / "yard", ["f10.png", "f2.png", "f1.PNG"])
    (tmp_path / "yard" / "notes.txt").write_text("x")
    frames = all_frames(str(tmp_path / "yard"))
    assert [frame.name for frame in frames] == ["f1", "f2", "f10"]
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert {frame.camera for frame in frames} == {"yard"} and frames[0].time is None
    assert np.array_equal(frames[0].image, scene(2))


def test_a_glob_and_a_single_picture(tmp_path: Path) -> None:
    save_scenes(tmp_path, ["a1.png", "b1.png", "a2.png"])
    assert [frame.name for frame in all_frames(str(tmp_path / "a*.png"), camera="gate")] == [
        "a1",
        "a2",
    ]
    assert [frame.camera for frame in all_frames(f"file://{tmp_path}/b1.png", camera="gate")] == [
        "gate"
    ]


def test_names_stay_unique_when_stems_do_not(tmp_path: Path) -> None:
    save_scenes(tmp_path, ["x/1.png", "y/1.png", "y/2.png"])
    assert [frame.name for frame in all_frames(str(tmp_path / "*" / "*.png"))] == [
        "x__1",
        "y__1",
        "y__2",
    ]
    save_scenes(tmp_path / "same", ["1.png", "1.jpg"])
    assert len({frame.name for frame in all_frames(str(tmp_path / "same"))}) == 2


def test_unreadable_pictures_are_named_and_left_out(tmp_path: Path) -> None:
    good, cut, empty, text = save_scenes(tmp_path, ["1.png", "2.jpg", "3.png", "4.jpg"])
    cut.write_bytes(cut.read_bytes()[:-200])
    empty.write_bytes(b"")
    text.write_text("no picture")
    huge_png(tmp_path / "5.png")
    source = open_source(str(tmp_path))
    assert [frame.name for frame in source.frames(threading.Event())] == [good.stem]
    assert source.statistics.unreadable == ["2.jpg", "3.png", "4.jpg", "5.png"]


def test_deep_pictures_are_scaled_by_the_range_of_the_bundle_or_told(tmp_path: Path) -> None:
    depth = DepthRange(6500, 9000)
    counts = thermal(1)
    thermal_path = save_bytes(tmp_path / "1.png", deep_png(counts))
    save_bytes(tmp_path / "2.png", deep_png(counts + np.uint16(30_000)))
    save_bytes(tmp_path / "3.png", deep_png(scene(1)[..., 0].astype(np.uint16) << 8))
    source = open_source(str(tmp_path), depth=depth)
    frames = list(source.frames(threading.Event()))
    assert np.array_equal(frames[0].image[..., 1], depth.to_8bit(counts))
    [note] = source.statistics.notes
    assert note.startswith("2.png, 3.png lie mostly beyond 6500 to 8999")
    source = open_source(str(tmp_path))
    frames = list(source.frames(threading.Event()))
    assert [frame.name for frame in frames] == ["3"]
    assert np.array_equal(frames[0].image[..., 0], scene(1)[..., 0])
    assert source.statistics.unreadable == ["1.png", "2.png"]
    notes = "; ".join(source.statistics.notes)
    assert "1.png: has more than 8 bits and uses 70" in notes and "would be nearly black" in notes
    assert "3.png hold more than 8 bits and the bundle brings no range" in notes
    assert read_image(thermal_path) is None and read_image(thermal_path, depth) is not None


def test_notes_are_there_when_the_pipeline_wants_no_more(tmp_path: Path) -> None:
    pages = [Image.fromarray(scene(seed)) for seed in range(2)]
    for name in ("1.tif", "2.tif"):
        save_bytes(
            tmp_path / name, encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
        )
    source = open_source(str(tmp_path))
    frames = source.frames(threading.Event())
    assert np.array_equal(next(frames).image, scene(0))
    frames.close()  # type: ignore[attr-defined]
    assert source.statistics.notes == ["of 1.tif the first page or frame was used, there are more"]


def test_no_readable_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"no readable picture.*1\.png: is damaged"):
        all_frames(str(tmp_path))


def test_a_video_gives_every_frame_with_its_time(tmp_path: Path) -> None:
    path = save_video(tmp_path / "clip one.avi", [scene(seed) for seed in range(7)], fps=5)
    source = open_source(str(path))
    assert (source.total, source.fps, source.live) == (7, 5.0, False)
    frames = list(source.frames(threading.Event()))
    assert [frame.name for frame in frames] == [f"{number:06d}" for number in range(7)]
    assert {frame.camera for frame in frames} == {"clip-one"}
    assert [frame.time for frame in frames] == pytest.approx(
        [number / 5 for number in range(7)], abs=0.21
    )
    assert (
        np.abs(frames[3].image.astype(int) - scene(3)).mean() < 12 and not source.statistics.notes
    )


def test_videos_of_a_folder_play_one_after_another(tmp_path: Path) -> None:
    for name in ("b.avi", "a.avi"):
        save_video(tmp_path / name, [scene(1), scene(2)])
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
    path = save_video(tmp_path / "clip.avi", [scene(seed) for seed in range(40)])
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
    path = save_video(tmp_path / "clip.avi", [scene(seed) for seed in range(40)])
    source, stop = open_source(str(path)), threading.Event()
    frames = source.frames(stop)
    next(frames)
    stop.set()
    assert not list(frames) and not source.statistics.notes
