"""The walk finds the same files for every command, once each, whatever links there are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeseg.imaging.footage_walk import is_named, named_files


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(text: str | Path, root: Path, **options: list[Path]) -> list[str]:
    return [str(path.relative_to(root)) for path in named_files(text, **options)]


def test_a_folder_with_all_below_it_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "a10.mp4", "a9.mp4", "sub/b.MP4", ".hidden.mp4", ".git/c.mp4", "x/.y/d.mp4")
    assert found(tmp_path, tmp_path) == ["a9.mp4", "a10.mp4", "sub/b.MP4"]
    assert found(tmp_path / ".git", tmp_path) == [".git/c.mp4"]  # named itself
    assert found(tmp_path, tmp_path, leave_out=[tmp_path / "sub"]) == ["a9.mp4", "a10.mp4"]


def test_links_are_followed_once_and_in_no_circle(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.mp4", "far/b.mp4")
    (tmp_path / "in" / "up").symlink_to("..")
    (tmp_path / "in" / "self").symlink_to("self")
    (tmp_path / "in" / "gone.mp4").symlink_to("nowhere")
    (tmp_path / "in" / "far").symlink_to(tmp_path / "far")
    (tmp_path / "in" / "latest.mp4").symlink_to("a.mp4")
    assert [path.name for path in named_files(tmp_path / "in")] == ["a.mp4", "b.mp4"]
    assert [path.name for path in named_files(f"{tmp_path}/in/**/*.mp4")] == ["a.mp4", "b.mp4"]


def test_patterns_and_names_that_look_like_patterns(tmp_path: Path) -> None:
    touch(tmp_path, "[1].mp4", "1.mp4", "2.mp4", "cam1/a.mp4", "cam2/b.mp4")
    assert found(tmp_path / "[1].mp4", tmp_path) == ["[1].mp4"]
    assert found(f"{tmp_path}/[12].mp4", tmp_path) == ["1.mp4", "2.mp4"]
    assert found(f"{tmp_path}/cam*", tmp_path) == ["cam1/a.mp4", "cam2/b.mp4"]
    assert named_files(f"{tmp_path}/*.mov") == []


def test_tildes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "home/a.mp4", "~$lock.mp4", os.fsdecode(b"caf\xe9.mp4"))
    assert named_files("~/a.mp4") == [tmp_path / "home" / "a.mp4"]
    assert named_files("~$lock.mp4") == [Path("~$lock.mp4")]
    assert named_files("~nobody/a.mp4") == [] and not is_named("~nobody/a.mp4")
    assert named_files("caf\udce9.mp4") == [Path("caf\udce9.mp4")] and is_named("~/a.mp4")


def test_a_pipe_is_no_footage(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    assert named_files(tmp_path) == []
