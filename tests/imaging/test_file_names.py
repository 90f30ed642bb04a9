"""File names: which are images and videos, and their natural order."""

from __future__ import annotations

from pathlib import Path

from edgeseg.imaging.file_names import is_image, is_video, natural_sort_key


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["day10/1.png", "day2/img10.jpg", "day2/img9.jpg", "day2/img9b.jpg", "day2/a.jpg"]
    ordered = sorted(map(Path, names), key=natural_sort_key)
    assert [str(path) for path in ordered] == [
        "day2/a.jpg",
        "day2/img9.jpg",
        "day2/img9b.jpg",
        "day2/img10.jpg",
        "day10/1.png",
    ]


def test_images_are_told_by_their_suffix_in_either_case() -> None:
    assert is_image(Path("a/b.JPG")) and is_image(Path("b.tiff"))
    assert not is_image(Path("b.mp4")) and not is_image(Path("png"))


def test_videos_are_told_by_their_suffix_in_either_case() -> None:
    for name in (
        "a.mp4",
        "b.MTS",
        "c.m2ts",
        "d.flv",
        "e.3gp",
        "f.mjpg",
        "g.h264",
        "h.hevc",
        "i.vob",
    ):
        assert is_video(Path(name)), name
    assert not is_video(Path("b.jpg")) and not is_video(Path("mp4"))
