"""Adding footage: what is kept, what is told, and that nothing depends on how often or how
interrupted it is done.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.atomic_files import lock_folder
from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.errors import DataError
from edgeseg.site import SITE_FOLDERS, Site, site_folder
from tests.helpers.footage import file_contents, huge_png, new_site, save_image, save_video, scene


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        os, "fsync", lambda handle: None
    )  # a killed process loses nothing by it, only a power cut does


@pytest.fixture
def empty(tmp_path: Path) -> Site:
    return new_site(tmp_path / "site")


def test_a_video_is_sampled_by_time_with_camera_source_and_color(
    empty: Site, tmp_path: Path
) -> None:
    shots = [scene(second) for second in range(5) for _ in range(10)]
    clip = save_video(tmp_path / "clip.avi", shots)
    result = add_footage(empty, [clip], "gate-2")
    frames = empty.frames("unlabelled")
    assert (result.read, result.kept, result.duplicates) == (5, 5, 0)
    assert [frame.time for frame in frames] == pytest.approx([0, 1, 2, 3, 4], abs=0.11)
    assert {(frame.camera, frame.source, frame.origin) for frame in frames} == {
        ("gate-2", str(clip), "footage")
    }
    for second, frame in enumerate(frames):
        stored = Image.open(empty.path(frame.image))
        assert (
            (stored.format, stored.size)
            == ("JPEG", (frame.width, frame.height))
            == ("JPEG", (128, 96))
        )
        assert (
            np.abs(np.asarray(stored).astype(int) - scene(second)).mean() < 8
        )  # swapped channels differ by far more


def test_more_frames_per_second_on_request(empty: Site, tmp_path: Path) -> None:
    clip = save_video(tmp_path / "clip.avi", [scene(number) for number in range(30)])
    dense = Site.open(empty.root, ["data.fps=5"])
    assert add_footage(dense, [clip]).kept == 15


def test_a_still_camera_leaves_one_frame(empty: Site, tmp_path: Path) -> None:
    still = save_video(tmp_path / "still.avi", [scene(1)] * 80)
    result = add_footage(empty, [still])
    assert (result.read, result.kept, result.duplicates) == (8, 1, 7)
    again = save_image(tmp_path / "other" / "same view.png", scene(1, 192, 256))
    assert (
        add_footage(empty, [again], "other").duplicates == 1
    )  # also when another camera shows it, larger


def test_images_of_a_folder_are_a_sequence_in_natural_order(empty: Site, tmp_path: Path) -> None:
    for number in (10, 9, 1, 2):
        save_image(tmp_path / "day" / f"img{number}.jpg", scene(number))
    site2 = Site.open(empty.root, ["data.fps=0.5"])
    add_footage(site2, [tmp_path / "day"])
    assert {Path(frame.source).name: frame.time for frame in empty.frames()} == {
        "img1.jpg": 0,
        "img2.jpg": 2,
        "img9.jpg": 4,
        "img10.jpg": 6,
    }


def test_all_usual_kinds_of_images(empty: Site, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    plain = save_image(folder / "plain.jpg", scene(0), quality=90)
    save_image(folder / "alpha.png", np.dstack([scene(1), np.full((96, 128), 9, np.uint8)]))
    save_image(folder / "grey.png", scene(2)[..., 0])
    save_image(folder / "grey.jpg", scene(3)[..., 0])
    save_image(folder / "deep.png", scene(4)[..., 0].astype(np.uint16) * np.uint16(257))
    Image.fromarray(scene(5)).convert("P").save(folder / "palette.png")
    Image.fromarray(scene(6)).convert("CMYK").save(folder / "print.jpg")
    save_image(folder / "old.bmp", scene(7))
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(np.rot90(scene(8)).copy()).save(folder / "turned.jpg", exif=turned)
    result = add_footage(empty, [folder])
    assert (result.kept, result.unreadable) == (9, [])
    stored = {Path(frame.source).name: frame for frame in empty.frames()}
    for frame in stored.values():
        picture = Image.open(empty.path(frame.image))
        assert (
            (picture.mode, picture.size)
            == ("RGB", (frame.width, frame.height))
            == ("RGB", (128, 96))
        ), frame.source
    assert empty.path(stored["plain.jpg"].image).read_bytes() == plain.read_bytes()
    for name, seed in (("deep.png", 4), ("turned.jpg", 8)):
        pixels = np.asarray(Image.open(empty.path(stored[name].image))).astype(int)
        truth = scene(seed) if seed == 8 else scene(seed)[..., :1]
        assert np.abs(pixels - truth).mean() < 8, name


def test_large_frames_are_made_smaller(empty: Site, tmp_path: Path) -> None:
    small = Site.open(empty.root, ["data.max_side=64"])
    add_footage(small, [save_image(tmp_path / "wide.jpg", scene(0, 96, 192))])
    [frame] = empty.frames()
    assert (frame.height, frame.width) == (32, 64)
    assert Image.open(empty.path(frame.image)).size == (64, 32)


def test_what_cannot_be_read_is_named_and_the_rest_is_kept(empty: Site, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    save_image(folder / "good.jpg", scene(0))
    cut = save_image(folder / "cut.jpg", scene(1))
    cut.write_bytes(cut.read_bytes()[:-200])
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("not a picture")
    huge_png(folder / "huge.png")
    (folder / "empty.mp4").touch()
    (folder / "noise.mp4").write_bytes(b"noise" * 500)
    (folder / "notes.txt").write_text("hello")
    (folder / ".hidden.jpg").write_text("ignored")
    whole = save_video(tmp_path / "whole.avi", [scene(number) for number in range(2, 62)])
    (folder / "half.avi").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = add_footage(empty, [folder])
    named = {Path(text.partition(": ")[0]).name: text for text in result.unreadable}
    assert set(named) == {"cut.jpg", "empty.png", "text.jpg", "huge.png", "empty.mp4", "noise.mp4"}
    assert "declares more than" in named["huge.png"]
    assert [path.name for path in result.skipped] == ["notes.txt"]
    assert (
        len(result.partial) == 1
        and "half.avi" in result.partial[0]
        and "of 60 frames" in result.partial[0]
    )
    assert result.kept == 1 + 3 == len(empty.frames())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.mp4", "matches no file"),
        ("*.mov", "matches no file"),
        ("void", "holds no video or image"),
        ("notes.txt", "holds no video or image"),
        ("dead.mp4", "no footage could be read"),
        ("dead.jpg", "dead.jpg"),
    ],
)
def test_nothing_to_add_is_an_error(empty: Site, tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "void").mkdir()
    for file in ("notes.txt", "dead.mp4", "dead.jpg"):
        (tmp_path / file).write_text("x")
    with pytest.raises(DataError, match=words):
        add_footage(empty, [tmp_path / name])
    assert empty.frames() == []


def test_patterns_files_and_folders_at_once(empty: Site, tmp_path: Path) -> None:
    for number in range(6):
        save_image(tmp_path / "a" / f"{number}.png", scene(number))
    save_image(tmp_path / "b" / "c" / "deep.png", scene(10))
    result = add_footage(
        empty, [f"{tmp_path}/a/[0-2].png", str(tmp_path / "a" / "1.png"), str(tmp_path / "b")]
    )
    assert result.kept == result.read == 4


def test_the_site_itself_is_no_footage(empty: Site, tmp_path: Path) -> None:
    save_image(empty.root / "input" / "one.jpg", scene(0))
    add_footage(empty, [empty.root / "input"])
    told = (site_folder.__doc__ or "").splitlines()
    folders = {line.split("/")[0] for line in told if "/" in line.split(" ")[0]}
    assert folders == SITE_FOLDERS  # every folder that the docstring names
    for folder in folders:
        save_image(empty.root / folder / "deep" / "two.png", scene(7))
    before = file_contents(empty.root)
    assert add_footage(empty, [empty.root]).read == 1
    assert file_contents(empty.root) == before


def _material(folder: Path) -> list[str]:
    clip = save_video(folder / "clip.avi", [scene(number // 20) for number in range(100)])
    for number in range(12):
        save_image(folder / "images" / f"{number}.png", scene(2 + number))
    return [str(clip), str(folder / "images")]


def test_adding_again_changes_nothing(empty: Site, tmp_path: Path) -> None:
    paths = _material(tmp_path)
    first = add_footage(empty, paths)
    before = file_contents(empty.root)
    second = add_footage(empty, paths)
    assert first.kept == 14
    assert (second.kept, second.present + second.duplicates) == (0, first.read)
    assert file_contents(empty.root) == before


def test_lost_images_come_back_with_the_same_footage(empty: Site, tmp_path: Path) -> None:
    clip = save_video(tmp_path / "clip.avi", [scene(number // 10) for number in range(30)])
    small = Site.open(empty.root, ["data.max_side=64"])
    paths = [
        clip,
        save_image(tmp_path / "day" / "plain.jpg", scene(8)),
        save_image(tmp_path / "day" / "other.png", scene(9)),
    ]
    add_footage(small, paths)
    mask = save_image(tmp_path / "mask.png", (scene(8)[..., 0] // 86).astype(np.uint8))
    add_labels(small, paths[1], mask, "val")
    before = file_contents(empty.root)
    for frame in empty.frames():
        empty.path(frame.image).unlink()
    again = add_footage(small, paths)
    assert (again.restored, again.kept, again.present) == (5, 0, 5)
    assert file_contents(empty.root) == before
    [labelled] = empty.frames("val")
    empty.path(labelled.image).unlink()
    assert add_labels(small, paths[1], mask).restored == 1
    assert file_contents(empty.root) == before


KILLED = """
import os, signal, sys
os.fsync = lambda handle: None
from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.data.ingest.site_writer import SiteWriter
from edgeseg.site import Site
left, kind = int(sys.argv[1]), sys.argv[2]
inner = os.replace
def replace(source, target):
    global left
    left -= 1
    if left == 0 and kind == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    inner(source, target)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
# An index after every frame, so that a kill can fall between them.
SiteWriter.save_sometimes = SiteWriter.save
add_footage(Site.open(), sys.argv[3:])
"""


@pytest.mark.parametrize(("moment", "kind"), [(1, "before"), (7, "after"), (14, "before")])
def test_killed_and_repeated_ends_the_same(
    empty: Site, tmp_path: Path, moment: int, kind: str
) -> None:
    paths = _material(tmp_path)
    whole = new_site(tmp_path / "whole" / "site")
    add_footage(whole, paths)
    command = [sys.executable, "-c", KILLED, str(moment), kind, *paths]
    process = subprocess.run(command, cwd=empty.root, check=False)
    assert process.returncode == -signal.SIGKILL
    for frame in empty.frames():
        Image.open(empty.path(frame.image)).load()
    for image in (empty.root / "frames").rglob("*.jpg"):
        Image.open(image).load()
    add_footage(empty, paths)
    assert file_contents(empty.root) == file_contents(whole.root)


def test_two_at_once_are_refused(empty: Site, tmp_path: Path) -> None:
    picture = save_image(tmp_path / "one.jpg", scene(0))
    with (
        lock_folder(empty.root / "frames"),
        pytest.raises(DataError, match="in use by another edgeseg process"),
    ):
        add_footage(empty, [picture])


def test_a_site_that_cannot_be_written_to(empty: Site, tmp_path: Path) -> None:
    picture = save_image(tmp_path / "one.jpg", scene(0))
    (empty.root / "frames").mkdir()
    (empty.root / "frames" / "camera").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="cannot be written to"):
        add_footage(empty, [picture])


@pytest.mark.parametrize("camera", ["../up", "a b", "x" * 41, "-flag", "köln"])
def test_cameras_that_cannot_be_file_names(empty: Site, tmp_path: Path, camera: str) -> None:
    with pytest.raises(DataError, match="cannot be part of a file name"):
        add_footage(empty, [save_image(tmp_path / "one.jpg", scene(0))], camera)


def test_lost_leftovers_are_cleared(empty: Site, tmp_path: Path) -> None:
    picture = save_image(tmp_path / "one.jpg", scene(0))
    add_footage(empty, [picture])
    [frame] = empty.frames()
    shutil.copy(picture, empty.path(frame.image).parent / ".half.jpg.12345678.tmp")
    add_footage(empty, [picture])
    assert len(list((empty.root / "frames").rglob("*.*"))) == 2  # the image and the lock
