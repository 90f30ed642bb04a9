"""Progress as lines, for trainings that run for hours without a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS_BETWEEN_LINES = 30.0


class LineReporter:
    """A progress reporter that prints a line twice a minute: how far, and how long it takes yet."""

    def __init__(
        self,
        show: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        interval: float = SECONDS_BETWEEN_LINES,
    ) -> None:
        """Report to `show`, by default to stdout."""
        self._show = show or (lambda text: print(text, flush=True))
        self._clock, self._interval = clock, interval
        self._title, self._total, self._done = "", 0, 0
        self._began = self._told = clock()
        self._first = 0

    def start(self, title: str, total: int | None) -> None:
        """Begin a piece of work, and say so."""
        self._title, self._total, self._done = title, total or 0, 0
        self._began = self._told = self._clock()
        self._show(f"{title}: {total} to do" if total else title)

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
            text += f", {each:.2f} s each, {(self._total - self._done) * each / 60:.0f} min left"
        self._show(text + (f", {note}" if note else ""))

    def say(self, message: str) -> None:
        """Show a line."""
        self._show(message)

    def stop(self) -> None:
        """End the piece of work."""
