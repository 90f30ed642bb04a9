"""A tracker in a thread of its own: whatever it meets, the training neither waits nor stops."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping

from edgeseg.imaging.array_types import Image
from edgeseg.tracking.tracker import Tracker

WAITING = 64  # evaluations that may wait for a slow server; those beyond are left out
CLOSING_SECONDS = 60.0  # at the end of a training
BREAKING_OFF_SECONDS = 10.0  # after Ctrl-C
GOES_ON = "; the training goes on without it"
Entry = tuple[int, dict[str, float], dict[str, Image]]


class BackgroundTracker:
    """Opens a tracker in its thread and hands it what comes; the first fault ends it."""

    def __init__(self, name: str, open_tracker: Callable[[], Tracker]) -> None:
        """Start the thread.

        Args:
            name: The tracker in sentences, such as "MLflow".
            open_tracker: Called in the thread; it may take long, and may fail.
        """
        self._name, self._open = name, open_tracker
        self._entries: queue.Queue[Entry | bool] = queue.Queue()  # a bool is the end
        self._fault: str | None = None
        self._left_out, self._told = 0, False
        self._thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def log(self, step: int, figures: Mapping[str, float], pictures: Mapping[str, Image]) -> None:
        if not self._thread.is_alive():
            return
        if self._entries.qsize() < WAITING:
            self._entries.put((step, dict(figures), dict(pictures)))
        else:
            self._left_out += 1

    def end(self, *, finished: bool) -> None:
        """Tell it that nothing more comes; `finished` is as for `Tracker.close`."""
        self._entries.put(finished)

    def wait(self, until: float) -> None:
        """Wait until all is written, or until an instant of `time.monotonic`."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self._fault = self._fault or "did not write the rest in time"

    def take_note(self) -> str | None:
        """Return a sentence on what went wrong, once; None while nothing has."""
        if self._told:
            return None
        if self._fault is not None:
            self._told = True
            return f"{self._name} {self._fault}{GOES_ON}"
        if self._left_out:
            self._told = True
            return (
                f"{self._name} is slower than the training, so evaluations are left out there; "
                "results.csv and TensorBoard have all of them"
            )
        return None

    def _work(self) -> None:
        try:
            tracker = self._open()
            while not isinstance(entry := self._entries.get(), bool):
                tracker.log(*entry)
            tracker.close(finished=entry)
        # Libraries of others raise whatever they like, `SystemExit` among it.
        except BaseException as error:  # noqa: BLE001
            self._fault = _reason(error)


def closing_seconds(*, finished: bool) -> float:
    """Return how long the end of a training may wait for all its trackers together."""
    return CLOSING_SECONDS if finished else BREAKING_OFF_SECONDS


def describe(error: BaseException) -> str:
    """Return what happened to a tracker, as the end of a sentence that its name begins."""
    return f"{_reason(error)}{GOES_ON}"


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"failed ({type(error).__name__}: {lines[0] if lines else 'no message'})"
