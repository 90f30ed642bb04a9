"""Paths in a site's files hold after it was moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.disk.stored_paths import find_stored_path, home_path, store_path


def test_a_path_inside_is_relative_however_it_is_reached(tmp_path: Path) -> None:
    root, disk = tmp_path / "site", tmp_path / "large disk"
    (root / "rounds").mkdir(parents=True)
    (disk / "train" / "exp1").mkdir(parents=True)
    (root / "runs").symlink_to(disk)
    (tmp_path / "link").symlink_to(root)
    for path in (
        root / "runs/train/exp1",
        tmp_path / "link" / "runs" / "train" / ".." / "train/exp1",
    ):
        assert store_path(root, path) == "runs/train/exp1"
    assert store_path(tmp_path / "link", root / "rounds") == "rounds"
    assert store_path(root, tmp_path / "other") == str(tmp_path / "other")


def test_it_is_found_again_after_a_move(tmp_path: Path) -> None:
    run = tmp_path / "new" / "runs" / "compare" / "exp1" / "cps-0"
    run.mkdir(parents=True)
    root = tmp_path / "new"
    assert find_stored_path(root, "runs/compare/exp1/cps-0") == run
    assert find_stored_path(root, "/gone/caf\udce9/site/runs/compare/exp1/cps-0") == run
    assert find_stored_path(root, str(tmp_path)) == tmp_path, "what is still there is that"
    gone = tmp_path / "gone" / "exp9"
    assert find_stored_path(root, str(gone)) == gone


def test_a_home_is_found_and_an_unknown_one_is_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert home_path(Path("~/out")) == tmp_path / "home/out"
    assert home_path(Path("~nobody-of-this-name/out")) == Path("~nobody-of-this-name/out")
    (tmp_path / "~").mkdir()
    assert home_path(Path("./~/out")) == Path("~/out"), "a folder that is really called ~"
