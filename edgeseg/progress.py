"""The progress of long work, reported to whoever watches: the command line draws it with rich, or
writes lines where there is no terminal; scripts and tests stay silent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

SECONDS_BETWEEN_LINES = 30.0
SECONDS_A_MINUTE = 60


class ProgressReporter(Protocol):
    """Receives the progress of one piece of work at a time."""

    def start(self, title: str, total: int | None) -> None:
        """Begin a bar of `total` units, which replaces the one before; None is an unknown total."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count `amount` units as done; `note` holds the figures worth seeing now."""

    def say(self, message: str) -> None:
        """Show a line that stays on the screen."""

    def stop(self) -> None:
        """End the bar."""


class NullReporter:
    """A reporter that shows nothing."""

    def start(self, title: str, total: int | None) -> None:
        pass

    def advance(self, amount: int = 1, note: str = "") -> None:
        pass

    def say(self, message: str) -> None:
        pass

    def stop(self) -> None:
        pass


class LineReporter:
    """A reporter that writes a line twice a minute: how far, how fast, and the time left."""

    def __init__(
        self,
        show: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        interval: float = SECONDS_BETWEEN_LINES,
    ) -> None:
        """Report to `show`, by default to stdout; `interval` is in seconds of `clock`."""
        self._show = show or (lambda text: print(text, flush=True))
        self._clock, self._interval = clock, interval
        self._title, self._total, self._done = "", 0, 0
        self._began = self._told = clock()
        self._first = 0

    def start(self, title: str, total: int | None) -> None:
        self._title, self._total, self._done = title, total or 0, 0
        self._began = self._told = self._clock()
        self._show(f"{title}: {total} to do" if total else f"{title} ...")

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count, and say so when it is time again.

        The first count may be what an earlier start did: only what follows tells the speed.
        """
        if not self._done:
            self._first, self._began = amount, self._clock()
        self._done += amount
        now = self._clock()
        if now - self._told < self._interval:
            return
        self._told = now
        text = f"{self._title}: {self._done} of {self._total or '?'}"
        if self._done > self._first and self._total:
            each = (now - self._began) / (self._done - self._first)
            left = format_duration(max(0, self._total - self._done) * each)
            text += f", {each:.2f} s each, {left} left"
        self._show(text + (f", {note}" if note else ""))

    def say(self, message: str) -> None:
        self._show(message)

    def stop(self) -> None:
        """End the bar; no line says so."""


def format_duration(seconds: float) -> str:
    """Return "45 s", "12 min" or "3 h 20 min"."""
    if round(seconds) < SECONDS_A_MINUTE:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / SECONDS_A_MINUTE), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
