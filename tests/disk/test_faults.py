"""Faults of the disk are told with their place and their cure."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import threading
from pathlib import Path

import pytest

from edgeseg.atomic_files import (
    MAX_NAME_BYTES,
    lock_folder,
    remove_leftovers,
    replace_link,
    shorten_name,
    temporary_path,
    temporary_siblings,
    write_atomic,
)
from edgeseg.compare import worker
from edgeseg.disk.faults import CURES, describe_disk_fault, fault_path, is_disk_fault, named
from edgeseg.errors import EdgesegError


@pytest.mark.parametrize("number", sorted(CURES), ids=lambda number: errno.errorcode[number])
def test_every_fault_says_where_what_and_how_to_mend(number: int) -> None:
    error = OSError(number, os.strerror(number))
    assert is_disk_fault(error)
    nameless = describe_disk_fault(error, Path("/site"))
    assert nameless.startswith("a file in /site cannot be ")
    error.filename = b"/site/caf\xe9"
    sentence = describe_disk_fault(error, Path("/site"))
    assert sentence.startswith("/site/caf\udce9 cannot be ") and os.strerror(number) in sentence
    assert sentence.endswith(CURES[number])


def test_what_is_no_fault_of_the_disk_stays_ours() -> None:
    for error in (BrokenPipeError(errno.EPIPE, "gone"), OSError("libx.so is missing")):
        assert not is_disk_fault(error)


def test_of_two_paths_the_target_is_told() -> None:
    error = OSError(errno.EXDEV, "x", "/site/.a.1234.tmp", None, "/site/a")
    assert fault_path(error) == "/site/a"
    assert fault_path(OSError(errno.EIO, "x", 7)) == "", "a handle is no place"
    with pytest.raises(OSError, match="x") as caught, named(Path("/site/b")):
        raise error
    assert fault_path(caught.value) == "/site/b"


def test_a_full_file_is_named_and_leaves_the_old_content(tmp_path: Path) -> None:
    """A real fault of write(), which itself names no file: the limit of a file's size."""
    path = tmp_path / "a.json"
    write_atomic(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OSError) as caught:
            write_atomic(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert fault_path(caught.value) == str(path)
    assert describe_disk_fault(caught.value, tmp_path).startswith(f"{path} cannot be written")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("call", ["fsync", "replace", "ftruncate", "symlink"])
def test_every_call_of_a_writer_names_the_file(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(f"edgeseg.atomic_files.os.{call}", fail)
    with pytest.raises(OSError) as caught:
        write_atomic(tmp_path / "a", b"x")
        with lock_folder(tmp_path / "b"):
            pass
        replace_link(tmp_path / "c", "a")
    assert fault_path(caught.value) in {str(tmp_path / name) for name in "abc"}


@pytest.mark.parametrize("letter", ["a", "é", "路", "😀"])
def test_derived_names_fit_however_long_a_name_is(letter: str, tmp_path: Path) -> None:
    size = len(letter.encode())
    name = letter * (MAX_NAME_BYTES // size)
    write_atomic(tmp_path / name, b"x")
    replace_link(tmp_path / name, "elsewhere")
    assert os.listdir(tmp_path) == [name]
    for most in (255, 100, 20):
        short = shorten_name(name, most)
        assert len(short.encode()) <= most and (short == name) == (len(name.encode()) <= most)
        assert short == name or short != shorten_name(f"{name}x", most), "told apart"


def test_leftovers_are_those_of_this_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "out [1]*"
    mine = temporary_path(path)
    for each in (mine, temporary_path(tmp_path / "other"), temporary_path(tmp_path / "out 1x")):
        each.touch()
    assert temporary_siblings(path) == [mine]


def test_only_what_writers_left_is_removed(tmp_path: Path) -> None:
    for name in (".notes.tmp", ".a.png.1f0a9c3d.tmp", "b.1f0a9c3d.tmp"):
        (tmp_path / name).touch()
    (tmp_path / ".folder.1f0a9c3d.tmp").mkdir()
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".folder.1f0a9c3d.tmp", ".notes.tmp", "b.1f0a9c3d.tmp"]


def test_who_holds_a_folder_is_named_even_right_after_it_was_taken(tmp_path: Path) -> None:
    """Between taking the lock and writing its number a process is nameless for a moment."""
    handle = os.open(tmp_path / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    writer = threading.Timer(0.03, os.pwrite, (handle, b"4711\n", 0))
    writer.start()
    with pytest.raises(EdgesegError, match="pid 4711"), lock_folder(tmp_path):
        pass
    writer.join()
    os.close(handle)


def test_a_run_of_a_comparison_tells_a_full_disk(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "x"))
    assert worker._reason(full, tmp_path) == describe_disk_fault(full, tmp_path)
    bug = worker._reason(ValueError("odd\nvalue"), tmp_path)
    assert bug.startswith("ValueError: odd; the traceback is in")
