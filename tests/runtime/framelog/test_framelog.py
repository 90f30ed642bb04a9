"""What the frame log acknowledged is there, whole, within its budget, whatever happens to the
process and the disk.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.config import LogConfig
from edgeseg.errors import FrameLogError
from edgeseg.runtime.framelog.eviction import EvictionOrder
from edgeseg.runtime.framelog.frame_log import FrameLog
from edgeseg.runtime.framelog.frame_selection import LogCandidate
from edgeseg.runtime.framelog.logging_rate import HOUR_NS
from edgeseg.runtime.framelog.reader import iter_records, verify_log
from edgeseg.runtime.framelog.record_format import read_record

SECOND = 10**9
CONTROL = LogCandidate("random", 0.01, ())
POOR = LogCandidate("flagged", 1.0, ("black",))


def picture(seed: int, side: int = 64) -> NDArray[np.uint8]:
    """Noise: nothing compresses it, and every seed looks different."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def open_log(folder: Path, clock: Callable[[], float] = lambda: 1.7e9, **changes: Any) -> FrameLog:
    config = LogConfig(**{"min_free_bytes": 0, "random_share": 0.1, **changes})
    return FrameLog.open(
        folder, config, device="dev", model="m", threshold=0.3, clock=clock, seed=0
    )


def put(
    log: FrameLog, seed: int, *, score: float = 0.5, hour: float = 0, side: int = 64, **more: Any
) -> Path:
    mask, entropy = np.full((8, 8), seed % 5, np.uint8), np.full((4, 4), 0.5, np.float32)
    return log.put(
        picture(seed, side),
        camera="cam",
        score=score,
        mask=mask,
        entropy=entropy,
        monotonic_ns=int(hour * HOUR_NS),
        **more,
    )


def disk_use(folder: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*.esr*"))


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in (folder / "tmp").iterdir()]


def test_a_record_is_there_once_put_returns(tmp_path: Path) -> None:
    with open_log(tmp_path / "log") as log:
        path = put(log, 1, score=0.75, hour=2)
        record = read_record(path)
        assert list(iter_records(log.folder)) == [path]
        assert leftovers(log.folder) == []
    header = record.header
    assert (header.boot, header.seq, header.score, header.reason, header.time) == (
        1,
        0,
        0.75,
        "score",
        1.7e9,
    )
    assert (header.device, header.camera, header.model, header.threshold) == (
        "dev",
        "cam",
        "m",
        0.3,
    )
    assert record.image().shape == (64, 64, 3)
    assert record.mask() is not None
    assert log.counts == {"score": 1}
    assert log.records_written == 1


def test_records_come_in_the_order_of_boot_and_seq_whatever_the_clock_says(tmp_path: Path) -> None:
    ids, times = [], iter([9e9, 0.0, 5e8, 4e8, 3e9, 1.0])
    for _ in range(2):
        with open_log(tmp_path, clock=lambda: next(times)) as log:
            for seed, candidate in enumerate((CONTROL, POOR, LogCandidate("score", 1.0, ()))):
                ids.append(read_record(put(log, seed, hour=seed, candidate=candidate)).id)
    records = [read_record(path) for path in iter_records(tmp_path)]
    assert [record.id for record in records] == ids
    assert [(record.header.boot, record.header.seq) for record in records] == [
        (b, s) for b in (1, 2) for s in (0, 1, 2)
    ]
    assert [record.header.time for record in records] == [9e9, 0.0, 5e8, 4e8, 3e9, 1.0]


def test_offered_frames_pass_the_gates_and_are_drained_at_the_end(tmp_path: Path) -> None:
    with open_log(tmp_path, random_share=0.0) as log:
        for seed in range(8):
            score = 0.9 if seed % 2 else 0.1
            offer(log, seed, score=score, now_ns=seed)
    assert log.counts == {"score": 4, "below": 4}
    assert [read_record(path).header.monotonic_ns for path in iter_records(tmp_path)] == [
        1,
        3,
        5,
        7,
    ]


def offer(log: FrameLog, seed: int, *, score: float = 0.9, now_ns: int = 0) -> None:
    log.offer(
        picture(seed), camera="cam", score=score, mask=None, entropy=None, monotonic_ns=now_ns
    )


def test_a_stuck_disk_never_stops_inference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, free = threading.Event(), threading.Event()

    def fsync(handle: int) -> None:
        stuck.set()
        assert free.wait(30)

    with open_log(tmp_path, random_share=0.0) as log:
        monkeypatch.setattr(os, "fsync", fsync)
        offer(log, 0)
        assert stuck.wait(30)
        for seed in range(1, 21):
            offer(log, seed)
        assert log.counts == {"queue": 14}
        monkeypatch.setattr(log._selection, "prefilter", lambda *_: CONTROL)
        for seed in range(2):  # the control stream still finds room
            offer(log, seed)
        free.set()
    assert log.counts == {"queue": 14, "score": 7, "random": 2}
    assert verify_log(tmp_path).good == 9


def test_a_picture_that_cannot_be_stored_does_not_end_the_log(tmp_path: Path) -> None:
    with open_log(tmp_path, random_share=0.0) as log:
        wrong: Any = np.ones((70, 70, 3), np.float64) * 300  # not what the contract asks for
        log.offer(
            wrong,
            camera="cam",
            score=0.9,
            mask=np.zeros((0, 5), np.uint8),
            entropy=None,
            monotonic_ns=HOUR_NS,
        )
        offer(log, 1)
    assert log.counts == {"invalid": 1, "score": 1}


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        put(log, 1)
        with pytest.raises(FrameLogError, match=f"{os.getpid()}"):
            open_log(tmp_path)
        assert verify_log(tmp_path).good == 1  # but reading is fine
    open_log(tmp_path).close()


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"picture")
    with pytest.raises(FrameLogError, match="choose an empty"):
        open_log(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FrameLogError, match="cannot be used"):
        open_log(tmp_path / folder)


# --- the budget


def test_the_budget_is_kept_after_every_record(tmp_path: Path) -> None:
    budget = 1_000_000
    with open_log(tmp_path, max_bytes=budget) as log:
        for seed in range(60):
            assert put(log, seed, hour=seed / 10, side=144, score=seed % 7 / 10).exists()
            assert disk_use(tmp_path) <= budget
        assert disk_use(tmp_path) > 0.9 * budget
        assert log.counts["evicted_score"] == 60 - len(list(iter_records(tmp_path)))
    result = verify_log(tmp_path)
    assert result.bad == []
    hours = {read_record(path).header.monotonic_ns // HOUR_NS for path in iter_records(tmp_path)}
    assert hours == set(range(6))


def test_a_smaller_budget_holds_from_the_next_start(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        for seed in range(60):
            put(log, seed, side=144, score=seed / 100)
    with open_log(tmp_path, max_bytes=1_000_000):
        assert disk_use(tmp_path) <= 1_000_000
    left = [read_record(path).header.score for path in iter_records(tmp_path)]
    assert min(left) == pytest.approx(0.6 - len(left) / 100)  # the lowest scores went


def test_a_record_larger_than_the_budget_evicts_nothing(tmp_path: Path) -> None:
    with open_log(tmp_path, max_bytes=1_000_000) as log:
        put(log, 1)
        with pytest.raises(FrameLogError, match="larger than log"):
            put(log, 2, side=1200)
        assert log.state == "full"
        assert put(log, 3, hour=1).exists()
        assert log.state == "ok"
        assert len(list(iter_records(tmp_path))) == 2


def test_space_for_others_is_left_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 10_000_000
    real = os.statvfs(tmp_path)

    def statvfs(path: Any) -> os.statvfs_result:
        left = (free - disk_use(tmp_path)) // 512
        return os.statvfs_result((512, 512, real.f_blocks, left, left, *list(real)[5:]))

    monkeypatch.setattr(os, "statvfs", statvfs)
    with open_log(tmp_path, min_free_bytes=9_500_000) as log:
        for seed in range(40):
            put(log, seed, side=144)
            assert disk_use(tmp_path) <= 500_000
        held = list(iter_records(tmp_path))
        free = 9_000_000  # somebody else's file: no eviction of ours could make up for it
        with pytest.raises(FrameLogError, match="volume is full"):
            put(log, 41, side=144)
        assert list(iter_records(tmp_path)) == held
        free = 10_000_000
        with pytest.raises(FrameLogError):
            put(log, 42, side=144, hour=9 / 3600)  # not yet tried again
        assert put(log, 43, side=144, hour=10 / 3600).exists()


def test_sent_then_flagged_then_low_scores_of_full_hours_go(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        paths = {
            "sent early": put(log, 0, hour=3, score=0.9),
            "sent late": put(log, 1, hour=5, score=0.9),
            "flagged": put(log, 2, hour=4, candidate=POOR),
            "full hour, high": put(log, 3, hour=6, score=0.99),
            "full hour, low": put(log, 4, hour=6, score=0.7),
            "lone hour, lowest": put(log, 5, hour=7, score=0.31),
            "control": put(log, 6, hour=8, candidate=CONTROL),
        }
        for name in ("sent late", "sent early"):
            target = tmp_path / "sent" / paths[name].parent.name / paths[name].name
            target.parent.mkdir()
            paths[name] = paths[name].rename(target)
    log = open_log(tmp_path, random_share=0.4)
    gone = []
    while True:
        before = [name for name, path in paths.items() if path.exists()]
        if not before:
            break
        log._store._evict()
        gone += [name for name in before if not paths[name].exists()]
    log.close()
    assert gone == [
        "sent early",
        "sent late",
        "flagged",
        "full hour, low",
        "full hour, high",
        "control",
        "lone hour, lowest",
    ]
    assert not any((tmp_path / "ready").iterdir())


def test_a_record_sent_by_another_process_is_evicted_where_it_is(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        path = put(log, 1)
        target = tmp_path / "sent" / path.parent.name / path.name
        target.parent.mkdir()
        path.rename(target)
        log._store._evict()
        assert not target.exists()
        assert log._store.used_bytes == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["score", "random"]), st.integers(0, 5), st.integers(0, 999)),
        max_size=80,
    )
)
def test_eviction_order_matches_a_plain_search(records: list[tuple[Any, int, int]]) -> None:
    stock, plain = EvictionOrder(0.25), []
    for number, (reason, hour, score) in enumerate(records):
        shard, digest = f"000001-{hour:05}-{reason}", f"{number * 7919 % 1000:032x}"
        name = f"000001-{number:010}-{score:03}-{digest}.esr"
        stock.add("ready", reason, shard, name, 1)
        plain.append((reason, shard, name))
        if number % 3 == 2:
            check_one(stock, plain)
    while plain:
        check_one(stock, plain)
    assert len(stock) == 0


def check_one(stock: EvictionOrder, plain: list[tuple[str, str, str]]) -> None:
    control = [item for item in plain if item[0] == "random"]
    scored = [item for item in plain if item[0] == "score"]
    pile = control if len(control) > 0.25 * len(plain) or not scored else scored
    sizes = {shard: sum(item[1] == shard for item in pile) for _, shard, _ in pile}
    fullest = min(sizes, key=lambda shard: (-sizes[shard], shard))
    rank = 3 if pile is control else 2
    victim = min(
        (i for i in pile if i[1] == fullest), key=lambda item: (item[2].split("-")[rank], item[2])
    )
    assert stock.first()[2].name == victim[2]
    stock.pop()
    plain.remove(victim)


# --- failing disks


def test_a_record_is_synced_before_its_rename_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(handle: int) -> None:
        done.append(("sync", Path(f"/proc/self/fd/{handle}").readlink().parent.name))
        fsync(handle)

    def spy_replace(source: Path, target: Path) -> None:
        done.append(("rename", Path(target).parent.parent.name))
        replace(source, target)

    with open_log(tmp_path) as log:
        put(log, 1)
        monkeypatch.setattr(os, "fsync", spy_fsync)
        monkeypatch.setattr(os, "replace", spy_replace)
        put(log, 2)
        monkeypatch.undo()
    assert done == [("sync", "tmp"), ("rename", "ready"), ("sync", "ready")]


class Faults:
    """Makes the n-th disk operation of the store fail, and all after it if `lasting`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.lasting, self.code, self.done = 0, False, errno.EIO, 0
        self.synced: list[str] = []
        for name in ("open", "write", "fsync", "replace", "statvfs"):
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def plan(self, at: int, code: int, *, lasting: bool) -> None:
        self.at, self.code, self.lasting, self.done = at, code, lasting, 0
        self.synced = []

    def _wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if name == "fsync" and self.at:
                self.synced.append(str(Path(f"/proc/self/fd/{arguments[0]}").readlink()))
            self.done += 1
            if self.at and (self.done == self.at or (self.lasting and self.done > self.at)):
                raise OSError(self.code, os.strerror(self.code))
            return real(*arguments, **options)

        return call


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    yield Faults(monkeypatch)
    monkeypatch.undo()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.get)
def test_one_fault_at_any_operation_is_overcome_or_told(
    tmp_path: Path, faults: Faults, code: int
) -> None:
    total = 0
    for at in range(1, 20):
        folder = tmp_path / str(at)
        with open_log(folder) as log:
            acknowledged = [put(log, seed, side=96) for seed in range(4)]
            faults.plan(at, code, lasting=False)
            try:
                acknowledged.append(put(log, 9, hour=1))
            except FrameLogError:
                assert log.state in ("full", "degraded")
            reached, files = (
                faults.done >= at,
                [path for path in faults.synced if path.endswith(tuple("0123456789"))],
            )
            assert len(files) == len(set(files))  # no file is synced twice
            faults.plan(0, code, lasting=False)
            evicted = sum(
                count for reason, count in log.counts.items() if reason.startswith("evicted")
            )
            assert leftovers(folder) == []
            assert sum(path.exists() for path in acknowledged) == len(acknowledged) - evicted
            assert verify_log(folder).bad == []
            assert put(log, 10, hour=2).exists()
            assert log.state == "ok"
        if not reached:
            break
        total += 1
    assert total >= 6  # statvfs, open, write, fsync, replace, fsync of the folder at least


@pytest.mark.parametrize(
    ("code", "state", "wait"),
    [(errno.EIO, "degraded", 60), (errno.EROFS, "degraded", 60), (errno.ENOSPC, "full", 10)],
)
def test_lasting_faults_are_told_and_end_by_themselves(
    tmp_path: Path, faults: Faults, code: int, state: str, wait: int
) -> None:
    with open_log(tmp_path, random_share=0.0) as log:
        first = put(log, 1, side=96)
        faults.plan(2, code, lasting=True)
        with pytest.raises(FrameLogError, match="goes on by itself"):
            put(log, 2)
        assert log.state == state
        assert str(tmp_path) in log.problem
        faults.plan(0, code, lasting=False)
        with pytest.raises(FrameLogError):
            put(log, 3, hour=(wait - 1) / 3600)
        put(log, 4, hour=wait / 3600)
        assert (log.state, log.problem) == ("ok", "")
        assert first.exists() is (code != errno.ENOSPC)  # room was tried to be made, once
        assert verify_log(tmp_path).bad == []


def test_a_full_log_stops_evicting_for_nothing(tmp_path: Path, faults: Faults) -> None:
    with open_log(tmp_path) as log:
        for seed in range(6):
            put(log, seed, side=96)
        faults.plan(2, errno.ENOSPC, lasting=True)
        for minute in range(10):
            with pytest.raises(FrameLogError):
                put(log, 10 + minute, side=96, hour=minute / 60)
        assert len(list(iter_records(tmp_path))) == 4


def test_a_broken_disk_counts_frames_and_recovers_in_the_writer(
    tmp_path: Path, faults: Faults
) -> None:
    log = open_log(tmp_path, random_share=0.0)
    with log:
        faults.plan(1, errno.EROFS, lasting=True)
        for seed in range(3):
            offer(log, seed, now_ns=seed)
        while log.counts.get("degraded", 0) < 3:
            threading.Event().wait(0.01)
        faults.plan(0, errno.EROFS, lasting=False)
        offer(log, 0, now_ns=61 * SECOND)  # the same picture: what was not kept is no duplicate
    assert log.counts == {"degraded": 3, "score": 1}


def test_a_folder_that_vanishes_comes_back(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        first = put(log, 1)
        for path in (first, first.parent, first.parent.parent, tmp_path / "tmp"):
            path.unlink() if path.is_file() else path.rmdir()
        with pytest.raises(FrameLogError):
            put(log, 2)
        assert log.state == "degraded"
        assert put(log, 3, hour=1).exists()
        log._store._evict()  # the record that vanished
        assert log._store.used_bytes == disk_use(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    options = "size=4m,nr_inodes=60"
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", folder], check=False
        ).returncode
    ):
        pytest.skip("needs root and a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_real_full_disk(small_disk: Path) -> None:
    folder, foreign = small_disk / "log", small_disk / "foreign"
    foreign.touch()
    with open_log(folder) as log:
        for seed in range(80):  # more than fit: by bytes and by inodes
            put(log, seed, side=250, hour=seed / 4)
        assert log.counts["evicted_score"] > 30
        assert log.state == "ok"
        with open(foreign, "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(b"x" * 4096)
        kept = 0
        for seed in range(80, 100):  # goes on within what it has
            try:
                kept += put(log, seed, side=250, hour=seed / 4).exists()
            except FrameLogError:
                assert log.state == "full"
        assert kept >= 15
        foreign.write_bytes(b"")
        assert put(log, 101, side=250, hour=30).exists()
        assert leftovers(folder) == []
        assert verify_log(folder).bad == []


# --- junk


def test_a_torn_write_is_tidied_up_by_the_next_start(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        put(log, 1)
    (tmp_path / "tmp" / "torn.esr.3").write_bytes(b"ESR1")
    with open_log(tmp_path) as log:
        assert leftovers(tmp_path) == []
        assert log.boot == 2


@pytest.mark.parametrize("content", [None, b"", b"junk", b"-5", b"\xff" * 100, b"9" * 50])
def test_a_lost_start_counter_is_found_again_from_the_records(
    tmp_path: Path, content: bytes | None
) -> None:
    for _ in range(3):
        with open_log(tmp_path) as log:
            put(log, 1)
    if content is None:
        (tmp_path / "boot").unlink()
    else:
        (tmp_path / "boot").write_bytes(content)
    with open_log(tmp_path) as log:
        assert log.boot == 4


def test_damage_at_rest_is_found_and_named(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        paths = [put(log, seed) for seed in range(40)]
    damaged = random.Random(0).sample(paths, 8)
    for number, path in enumerate(damaged):
        data = bytearray(path.read_bytes())
        if number % 2:
            data[len(data) // 2] ^= 4
        else:
            del data[-7:]
        path.write_bytes(data)
    result = verify_log(tmp_path)
    assert result.good == 32
    assert {path for path, _ in result.bad} == set(damaged)
    assert all(str(path) in why for path, why in result.bad)
    open_log(tmp_path).close()  # and is no reason not to start


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
        kept = put(log, 1) if before else None
    for place, name, kind in junk:
        make_junk(folder / place / name, kind, outside)
    if not (folder / "ready").is_dir() and not (folder / "boot").is_file():
        return  # nothing left that tells a frame log from somebody's folder
    with open_log(folder, random_share=0.0) as log:
        path = put(log, 2)
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


# --- readers beside the writer, and sudden death


def test_readers_beside_an_evicting_writer_never_see_half_a_record(tmp_path: Path) -> None:
    done = threading.Event()

    def write() -> None:
        with open_log(tmp_path, max_bytes=1_000_000) as log:
            for seed in range(150):
                put(log, seed, side=144, hour=seed / 10)
        done.set()

    open_log(tmp_path).close()
    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not done.is_set():
        result = verify_log(tmp_path)
        assert result.bad == []
        seen += result.good
    writer.join()
    assert seen > 100
    assert verify_log(tmp_path).good > 10


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from edgeseg.config import LogConfig
from edgeseg.runtime.framelog.frame_log import FrameLog
image = np.random.default_rng().integers(0, 256, (96, 96, 3), np.uint8)
config = LogConfig(min_free_bytes=0)
with FrameLog.open(Path(sys.argv[1]), config, device="d", model="m", threshold=0.3) as log:
    while True:
        image[0, 0] = np.random.default_rng().integers(0, 256, 3)
        path = log.put(image, camera="c", score=0.5, mask=image[..., 0], entropy=None, monotonic_ns=time.monotonic_ns())
        print(path.name, flush=True)
"""


def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    generator, acknowledged = random.Random(seed), []
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as process:
            assert process.stdout is not None
            acknowledged.append(
                process.stdout.readline().strip()
            )  # only now does it write and not just start
            threading.Event().wait(generator.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
        result = verify_log(tmp_path)
        assert result.bad == [], f"seed {seed}"
        there = {path.name for path in iter_records(tmp_path)}
        assert set(acknowledged) <= there, f"seed {seed}"
    with open_log(tmp_path) as log:
        assert log.boot == 9
        assert leftovers(tmp_path) == []
        assert put(log, 1).exists()
    assert len(acknowledged) >= 8
