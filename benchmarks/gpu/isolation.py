"""Measurements in child processes, so that one that crashes or hangs is a row like any other.

A fault on a GPU leaves its process unusable, and NVIDIA's libraries may end it. The parent only
imports; it never touches the GPU, so that its forks can.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from benchmarks.gpu.findings import Finding, Row, Skip
from benchmarks.gpu.settings import Settings

POISONED = ("CUDA error", "device-side assert", "cudaError", "CUDNN_STATUS_EXECUTION_FAILED")


@dataclass(frozen=True)
class Part:
    """A part of the check.

    Attributes:
        name: In the table and on the command line.
        items: The names of its measurements.
        measure: Makes one of them.
        seconds: What one may take on a GPU; it is skipped when less is left.
    """

    name: str
    items: Callable[[Settings], Sequence[str]]
    measure: Callable[[str, Settings], Finding]
    seconds: float


class Stopped(Exception):
    """A signal ends the check; its text names the signal."""


class StopSignals:
    """Notes Ctrl-C and SIGTERM for whoever waits.

    A handler that raises may be called where Python swallows exceptions (the hooks of a fork, a
    finalizer), and then nothing stops. This one writes into a pipe, which a wait can have among its
    files, as often as it likes: what was noted stays there.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)  # a handler must not wait

    def listen(self) -> None:
        """Note the two from here on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    @property
    def handle(self) -> int:
        """The file that can be read from once a signal came."""
        return self._reader

    def raise_if_stopped(self) -> None:
        """Raise what was noted.

        Raises:
            Stopped: A signal came.
        """
        if wait([self._reader], 0):
            raise Stopped(f"stopped by {signal.Signals(os.read(self._reader, 1)[0]).name}")

    def _note(self, number: int, frame: object) -> None:
        os.write(self._writer, bytes([number]))


def run_part(
    part: Part, settings: Settings, deadline: float, signals: StopSignals
) -> Iterator[Row]:
    """Measure all items of a part, in a new process after each fault of the device.

    Args:
        part: The part.
        settings: What every measurement is given.
        deadline: On the monotonic clock; what is running then is ended.
        signals: End what is running at once.

    Raises:
        Stopped: A signal came.
    """
    waiting = list(part.items(settings))
    while waiting:
        if time.monotonic() + part.seconds > deadline:
            yield from (Row(part.name, item, "skipped", 0.0, "no time left") for item in waiting)
            return
        for row in _run_child(part, waiting, settings, deadline, signals):
            waiting.remove(row.item)
            yield row


def _run_child(
    part: Part, items: Sequence[str], settings: Settings, deadline: float, signals: StopSignals
) -> Iterator[Row]:
    """The rows of one process: of all items, or up to the fault that ended it."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(part, items, settings, deadline, sender))
    sys.stdout.flush()
    child.start()
    sender.close()
    left, fault = list(items), ""  # the first of `left` is being measured
    began = time.monotonic()
    try:
        while wait([receiver, signals.handle], max(0.0, deadline - time.monotonic())):
            signals.raise_if_stopped()
            row: Row = receiver.recv()
            left.remove(row.item)
            began = time.monotonic()
            yield row
        fault = "stopped: the time of the whole check is over"
    except EOFError:
        child.join()
        fault = f"its process ended with {_reason(child.exitcode)}" if child.exitcode else ""
    finally:
        child.kill()
        child.join()
        receiver.close()
    if fault and left:
        yield Row(part.name, left[0], "FAILED", time.monotonic() - began, fault)


def _work(
    part: Part, items: Sequence[str], settings: Settings, deadline: float, sender: Connection
) -> None:
    """Measure item after item in the child; return early when time is short or the GPU faulty."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    os.dup2(2, 1)  # what libraries print stays out of the table
    for item in items:
        began = time.monotonic()
        if began + part.seconds > deadline:
            return
        try:
            finding = part.measure(item, settings)
        except Skip as reason:
            seconds = time.monotonic() - began
            sender.send(Row(part.name, item, "skipped", seconds, str(reason)))
            continue
        except Exception as error:  # noqa: BLE001  # whatever failed is a row, the others go on
            traceback.print_exc()
            sentence = (str(error).strip() or type(error).__name__).splitlines()[0]
            finding = Finding(False, f"{type(error).__name__}: {sentence}")
        sender.send(Row.of(part.name, item, time.monotonic() - began, finding))
        if any(sign in finding.text for sign in POISONED):
            return


def _reason(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"
