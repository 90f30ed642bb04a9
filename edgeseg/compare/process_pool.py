"""Runs in processes of their own, some at a time: a crash of one is its reason to fail, the others
go on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from edgeseg.compare.worker import LOG_FILE, TrainingJob, run_job
from edgeseg.progress import ProgressReporter

PATIENCE = 5.0  # seconds a process has to end before it is killed


@dataclass
class _Running:
    """A process, the line it reports on, and how far it has got (in steps of its budget)."""

    job: TrainingJob
    process: SpawnProcess
    line: Connection
    done: int = 0
    reason: str | None = None


def run_jobs(
    jobs: Sequence[TrainingJob], at_once: int, report: ProgressReporter, gpus: Sequence[str] = ()
) -> Generator[tuple[TrainingJob, str | None]]:
    """Do every job, in order, `at_once` of them at a time; yields each as it ends, with the reason
    if it failed.

    Each gets the one of `gpus` that the fewest others use at that time; without any, what the
    machine shows it. Leaving the iteration early, Ctrl-C included, ends the processes; what they
    have saved stays.
    """
    waiting = list(jobs)
    running: list[_Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                gpu = min(gpus, key=[each.job.gpu for each in running].count, default="")
                running.append(_start(replace(waiting.pop(0), gpu=gpu)))
            for line in wait([each.line for each in running]):
                each = next(each for each in running if each.line is line)
                if _hear(each, report):
                    continue
                running.remove(each)
                yield each.job, _end(each, report)
    finally:
        _stop(running)


def _start(job: TrainingJob) -> _Running:
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=run_job, args=(job, theirs), name=job.name)
    with _ctrl_c_for_us_alone():
        process.start()
    theirs.close()  # so that the line ends when the process does
    return _Running(job, process, ours)


@contextmanager
def _ctrl_c_for_us_alone() -> Iterator[None]:
    """A process started meanwhile never sees the terminal's Ctrl-C; we do, and end it in our own
    time.
    """
    # starting it with the first process would let SIGINT through again
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hear(each: _Running, report: ProgressReporter) -> bool:
    """Pass one message on; False when the line has ended."""
    try:
        message = each.line.recv()
    except (EOFError, OSError):  # OSError: killed in the middle of a message
        return False
    kind, *rest = message
    if kind == "advance":
        _advance(each, rest[0], f"{each.job.name} {rest[1]}".rstrip(), report)
    elif kind == "say":
        report.say(f"{each.job.name}: {rest[0]}")
    elif kind == "failed":
        each.reason = rest[0]
    return True


def _advance(each: _Running, amount: int, note: str, report: ProgressReporter) -> None:
    """A method of several stages may count more steps than the budget: the bar never overtakes."""
    amount = min(amount, each.job.config.steps - each.done)
    each.done += amount
    report.advance(amount, note)


def _end(each: _Running, report: ProgressReporter) -> str | None:
    """Wait for a process whose line has ended; the reason if it failed."""
    each.process.join(PATIENCE)
    if each.process.is_alive():
        each.process.kill()
        each.process.join()
    code = each.process.exitcode
    each.line.close()
    each.process.close()
    _advance(each, each.job.config.steps, "", report)
    return each.reason or (None if code == 0 else _how(code, each.job.out / LOG_FILE))


def _how(code: int | None, log: Path) -> str:
    """What an exit code tells."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        likely = ", most likely because memory ran out" if code == -signal.SIGKILL else ""
        return f"its process was ended by {name}{likely}; see {log}"
    return f"its process ended with exit code {code}; see {log}"


def _stop(running: Sequence[_Running]) -> None:
    for each in running:
        each.process.terminate()
    for each in running:
        each.process.join(PATIENCE)
        if each.process.is_alive() and each.process.pid is not None:
            os.kill(each.process.pid, signal.SIGKILL)
            each.process.join()
        each.line.close()
