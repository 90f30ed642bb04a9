"""Runs in processes of their own: crashes, GPUs, leaving early."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeseg.compare import process_pool as pool
from edgeseg.compare.process_pool import run_jobs
from edgeseg.compare.worker import TrainingJob
from tests.helpers.comparison import is_gone, note_visible_gpus, play_by_seed, tiny_config


class Watcher:
    """A report that remembers."""

    def __init__(self) -> None:
        self.done, self.notes, self.said = 0, list[str](), list[str]()

    def start(self, title: str, total: int | None) -> None: ...
    def stop(self) -> None: ...
    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        self.notes.append(note)

    def say(self, message: str) -> None:
        self.said.append(message)


def jobs(out: Path, seeds: int) -> list[TrainingJob]:
    return [
        TrainingJob(out, tiny_config(seed=seed, method="suponly"), out / str(seed), 1)
        for seed in range(seeds)
    ]


def test_a_process_that_dies_is_a_reason_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "run_job", play_by_seed)
    watcher = Watcher()
    reasons = {job.config.seed: reason for job, reason in run_jobs(jobs(tmp_path, 4), 2, watcher)}
    assert reasons[0] is None and reasons[3] == "frame f1 is damaged"
    assert "SIGKILL, most likely because memory ran out" in str(
        reasons[1]
    ) and "exit code 3" in str(reasons[2])
    assert watcher.done == 4 * 4  # the budget of each, however it counted and ended
    assert "suponly seed 0 mIoU 1.0" in watcher.notes


@pytest.mark.parametrize(
    ("gpus", "expected"), [(("1", "GPU-5"), ["1", "GPU-5"] * 2), ((), ["all"] * 4)]
)
def test_runs_at_a_time_are_spread_over_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: tuple[str, ...], expected: list[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(pool, "run_job", note_visible_gpus)
    ended = list(run_jobs(jobs(tmp_path, 4), 4, Watcher(), gpus))
    assert [reason for _, reason in ended] == [None] * 4
    assert [(tmp_path / str(seed) / "gpus").read_text() for seed in range(4)] == expected


def test_leaving_early_ends_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "run_job", play_by_seed)
    order = [jobs(tmp_path, 5)[4], jobs(tmp_path, 1)[0]]
    ended = run_jobs(order, 2, Watcher())
    assert next(ended)[0].config.seed == 0
    pid = tmp_path / "4" / "pid"
    while not pid.exists():
        time.sleep(0.02)
    ended.close()
    assert is_gone(int(pid.read_text()))


def test_ctrl_c_while_a_process_starts_ends_that_process_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pool, "run_job", play_by_seed)
    blocked = pool._sigint_blocked

    @contextmanager
    def interrupted() -> Iterator[None]:
        with blocked():
            yield
        raise KeyboardInterrupt  # one that was pending comes when it is let through

    monkeypatch.setattr(pool, "_sigint_blocked", interrupted)
    job = TrainingJob(tmp_path, tiny_config(seed=4), tmp_path / "suponly-4", 1)
    with pytest.raises(KeyboardInterrupt):
        list(pool.run_jobs([job], 1, Watcher()))
    assert not multiprocessing.active_children()
