"""What long work tells whoever watches; the command line draws it with rich, tests and scripts stay
silent.
"""

from __future__ import annotations

from typing import Protocol


class ProgressReporter(Protocol):
    """Receives the progress of one piece of work at a time."""

    def start(self, title: str, total: int | None) -> None:
        """A new bar of `total` units begins and replaces the one before."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """`amount` units are done; `note` holds the figures worth seeing now."""

    def say(self, message: str) -> None:
        """A line that should stay on the screen."""

    def stop(self) -> None:
        """The bar is done."""


class NullReporter:
    """A report that nobody reads."""

    def start(self, title: str, total: int | None) -> None:
        pass

    def advance(self, amount: int = 1, note: str = "") -> None:
        pass

    def say(self, message: str) -> None:
        pass

    def stop(self) -> None:
        pass
