"""Progress and sentences on stderr: one rich bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True)


def say(text: str, *, style: str | None = None) -> None:
    """Print a sentence to stderr as it is.

    Lines are not wrapped: a path that is broken in two cannot be copied or searched for.
    """
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


class RichReporter:
    """A progress reporter that draws a bar with elapsed and remaining time."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def start(self, title: str, total: int | None) -> None:
        self.stop()
        self._task = self._progress.add_task(title, total=total, note="")
        if not console.is_terminal:
            say(f"{title} ...")

    def advance(self, amount: int = 1, note: str = "") -> None:
        if self._task is not None:
            if note:
                self._progress.update(self._task, advance=amount, note=note)
            else:
                self._progress.update(self._task, advance=amount)

    def say(self, message: str) -> None:
        say(message)

    def stop(self) -> None:
        if self._task is not None:
            self._progress.stop_task(self._task)
            self._task = None


def table_console(width: int, *, highlight: bool = True, markup: bool = True) -> Console:
    """Return a console on stdout for tables, `width` columns wide where it is no terminal."""
    width_or_own = None if sys.stdout.isatty() else width
    return Console(width=width_or_own, highlight=highlight, markup=markup)


@contextmanager
def progress_bar() -> Iterator[RichReporter]:
    """Show progress for the length of a `with` block."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        yield RichReporter(progress)
