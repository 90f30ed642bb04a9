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

GRACE_SECONDS = 5.0  # that a process has to end before it is killed


@dataclass
class _RunningJob:
    """A process at work.

    Attributes:
        job: What it does.
        process: The process.
        pipe: Where it reports.
        steps_done: How far it has got in the steps of its budget.
        reason: Why it failed, if it said so.
    """

    job: TrainingJob
    process: SpawnProcess
    pipe: Connection
    steps_done: int = 0
    reason: str | None = None


def run_jobs(
    jobs: Sequence[TrainingJob],
    parallel_runs: int,
    report: ProgressReporter,
    gpus: Sequence[str] = (),
) -> Generator[tuple[TrainingJob, str | None]]:
    """Do every job, in order, `parallel_runs` of them at a time; yield each as it ends, with the
    reason if it failed.

    Each gets the one of `gpus` that the fewest others use at that time; without any, what the
    machine shows it. Leaving the iteration early, Ctrl-C included, ends the processes; what they
    have saved stays.
    """
    waiting = list(jobs)
    running: list[_RunningJob] = []
    try:
        while waiting or running:
            while waiting and len(running) < parallel_runs:
                used_gpus = [other.job.gpu for other in running]
                gpu = min(gpus, key=used_gpus.count, default="")
                _start(replace(waiting.pop(0), gpu=gpu), running)
            for pipe in wait([member.pipe for member in running]):
                member = next(member for member in running if member.pipe is pipe)
                if _receive(member, report):
                    continue
                running.remove(member)
                yield member.job, _finish(member, report)
    finally:
        _stop(running)


def _start(job: TrainingJob, running: list[_RunningJob]) -> None:
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run_job, args=(job, sender), name=job.name)
    with _sigint_blocked():
        process.start()
        # While blocked: a Ctrl-C that waited for the start must find the process here to end it.
        running.append(_RunningJob(job, process, receiver))
    sender.close()  # the child's copy is then the last one: the pipe ends when the process does


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Keep the terminal's Ctrl-C from a process started meanwhile; this one gets it, and ends the
    other in its own time.
    """
    # Starting the tracker with the first process would let SIGINT through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _receive(member: _RunningJob, report: ProgressReporter) -> bool:
    """Pass one message on; return False when the pipe has ended."""
    try:
        message = member.pipe.recv()
    except (EOFError, OSError):  # OSError: killed in the middle of a message
        return False
    kind, *rest = message
    if kind == "advance":
        _advance(member, rest[0], f"{member.job.name} {rest[1]}".rstrip(), report)
    elif kind == "say":
        report.say(f"{member.job.name}: {rest[0]}")
    elif kind == "failed":
        member.reason = rest[0]
    return True


def _advance(member: _RunningJob, amount: int, note: str, report: ProgressReporter) -> None:
    """Advance the bar, but never beyond the budget: a method of several stages may count more."""
    amount = min(amount, member.job.config.steps - member.steps_done)
    member.steps_done += amount
    report.advance(amount, note)


def _finish(member: _RunningJob, report: ProgressReporter) -> str | None:
    """Wait for a process whose pipe has ended; return the reason if it failed."""
    member.process.join(GRACE_SECONDS)
    if member.process.is_alive():
        member.process.kill()
        member.process.join()
    code = member.process.exitcode
    member.pipe.close()
    member.process.close()
    _advance(member, member.job.config.steps, "", report)
    if member.reason or code == 0:
        return member.reason
    return _explain_exit(code, member.job.out / LOG_FILE)


def _explain_exit(code: int | None, log: Path) -> str:
    """Return what an exit code tells; a negative one is the signal that ended the process."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        likely = ", most likely because memory ran out" if code == -signal.SIGKILL else ""
        return f"its process was ended by {name}{likely}; see {log}"
    return f"its process ended with exit code {code}; see {log}"


def _stop(running: Sequence[_RunningJob]) -> None:
    for member in running:
        member.process.terminate()
    for member in running:
        member.process.join(GRACE_SECONDS)
        if member.process.is_alive() and member.process.pid is not None:
            os.kill(member.process.pid, signal.SIGKILL)
            member.process.join()
        member.pipe.close()
