"""A start tidies up whatever it finds: torn writes, lost counters, junk of every kind."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeseg.runtime.framelog.reader import verify_log
from edgeseg.runtime.framelog.record_format import read_record
from tests.helpers.frame_logs import open_log, put_noise, unfinished_records


def test_a_torn_write_is_tidied_up_by_the_next_start(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        put_noise(log, 1)
    (tmp_path / "tmp" / "torn.esr.3").write_bytes(b"ESR1")
    with open_log(tmp_path) as log:
        assert unfinished_records(tmp_path) == []
        assert log.boot == 2


@pytest.mark.parametrize("content", [None, b"", b"junk", b"-5", b"\xff" * 100, b"9" * 50])
def test_a_lost_start_counter_is_found_again_from_the_records(
    tmp_path: Path, content: bytes | None
) -> None:
    for _ in range(3):
        with open_log(tmp_path) as log:
            put_noise(log, 1)
    if content is None:
        (tmp_path / "boot").unlink()
    else:
        (tmp_path / "boot").write_bytes(content)
    with open_log(tmp_path) as log:
        assert log.boot == 4


def test_set_aside_files_are_bounded(tmp_path: Path) -> None:
    with open_log(tmp_path, max_bytes=10_000_000):
        pass
    for number in range(30):
        (tmp_path / "ready" / f"stray{number}").write_bytes(bytes(20_000))
    with open_log(tmp_path, max_bytes=10_000_000) as log:
        assert log.counts["bad"] == 30
        kept = sum(path.lstat().st_blocks * 512 for path in (tmp_path / "bad").iterdir())
        assert 0 < kept <= 100_000
        assert log._store.used_bytes == kept


GOOD_SHARD, GOOD_NAME = "000001-00000-score", f"000001-0000000007-500-{'ab' * 16}.esr"
PLACES = [
    "",
    "ready",
    "sent",
    "tmp",
    "bad",
    f"ready/{GOOD_SHARD}",
    f"sent/{GOOD_SHARD}",
    "ready/000002-99999-random",
]
NAMES = [
    GOOD_NAME,
    GOOD_NAME.replace("000001", "999999"),
    "boot",
    ".lock",
    "ready",
    "tmp",
    "bad",
    "sent",
    GOOD_SHARD,
    "x.esr",
    "ünïcode\n",
    "." * 3,
    "a" * 255,
]
KINDS = [
    "file",
    "empty",
    "folder",
    "link",
    "dangling",
    "link to file",
    "pipe",
    "huge",
    "socket-like",
    "future",
]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.sampled_from(PLACES), st.sampled_from(NAMES), st.sampled_from(KINDS)),
        max_size=8,
    ),
    st.booleans(),
)
def test_junk_is_never_fatal_and_never_followed(
    tmp_path_factory: pytest.TempPathFactory, junk: list[tuple[str, str, str]], before: bool
) -> None:
    root = tmp_path_factory.mktemp("junk")
    folder, outside = root / "log", root / "outside"
    outside.mkdir()
    (outside / GOOD_NAME).write_bytes(b"mine")
    with open_log(folder) as log:
        kept = put_noise(log, 1) if before else None
    for place, name, kind in junk:
        make_junk(folder / place / name, kind, outside)
    if not (folder / "ready").is_dir() and not (folder / "boot").is_file():
        return  # nothing left that tells a frame log from somebody's folder
    with open_log(folder, random_share=0.0) as log:
        path = put_noise(log, 2)
        assert read_record(path).image().shape == (64, 64, 3)
        if kept is not None and kept.exists():
            assert read_record(kept).header.seq == 0
        while log._store._eviction_order:
            log._store._evict()
    verify_log(folder)
    assert [path.name for path in outside.iterdir()] == [GOOD_NAME]
    assert (outside / GOOD_NAME).read_bytes() == b"mine"


def make_junk(path: Path, kind: str, outside: Path) -> None:
    if any(parent.is_symlink() for parent in path.parents):
        return  # junk made before leads outside, where nothing is to be written
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path) and not path.is_symlink() and path.is_dir() and kind != "folder":
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        match kind:
            case "file":
                path.write_bytes(b"junk" * 100)
            case "empty":
                path.touch()
            case "folder":
                (path / "deep" / "er").mkdir(parents=True)
                (path / "deep" / GOOD_NAME).write_bytes(b"x")
            case "link":
                path.symlink_to(outside)
            case "dangling":
                path.symlink_to(outside / "new")
            case "link to file":
                path.symlink_to(outside / GOOD_NAME)
            case "pipe":
                os.mkfifo(path)
            case "huge":
                with open(path, "wb") as file:
                    file.truncate(5 * 2**30)
            case "socket-like":
                os.mknod(path, stat.S_IFSOCK | 0o644)
            case "future":
                path.write_bytes(b"ESR2" + bytes(50))
    except OSError:
        return  # this junk does not fit on the junk before it
