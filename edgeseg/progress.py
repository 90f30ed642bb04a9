"""The progress of long work, reported to whoever watches: the command line draws it with rich,
scripts and tests stay silent.
"""

from __future__ import annotations

from typing import Protocol


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
