"""Progress and sentences on stderr: one rich bar on a terminal, plain lines elsewhere.

Every table and line of every command goes through a console of this module, which takes no text
for markup or emoji: a class may be called `road [paved]` and a file `:car:.mp4`. Where a style is
wanted it is given beside the text, as `rich.text.Text(name, style="bold")`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
from rich.text import Text

from edgeseg.cli.shared.terminal_text import terminal_line, terminal_text
from edgeseg.progress import LineReporter, ProgressReporter


class PlainConsole(Console):
    """A console that shows text as it was written."""

    def __init__(self, **options: Any) -> None:  # Any: as `rich.console.Console` takes them
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:  # Any: likewise
        """Return cells, titles and lines with escapes for what would command the terminal."""
        return super().render_str(terminal_text(text), **options)


console = PlainConsole(stderr=True)


def say(text: str, *, style: str | None = None) -> None:
    """Print a sentence to stderr.

    Lines are not wrapped: a path that is broken in two cannot be copied or searched for.
    """
    console.print(terminal_line(text), style=style, highlight=False, soft_wrap=True)


class RichReporter:
    """A progress reporter that draws a bar with elapsed and remaining time."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def start(self, title: str, total: int | None) -> None:
        self.stop()
        self._task = self._progress.add_task(terminal_line(title), total=total, note="")

    def advance(self, amount: int = 1, note: str = "") -> None:
        if self._task is not None:
            if note:
                self._progress.update(self._task, advance=amount, note=terminal_line(note))
            else:
                self._progress.update(self._task, advance=amount)

    def say(self, message: str) -> None:
        say(message)

    def stop(self) -> None:
        if self._task is not None:
            self._progress.stop_task(self._task)
            self._task = None


def table_console(width: int | None = None, *, highlight: bool = True) -> PlainConsole:
    """Return a console on stdout for tables, `width` columns wide where it is no terminal."""
    width_or_own = None if sys.stdout.isatty() else width
    return PlainConsole(width=width_or_own, highlight=highlight)


@contextmanager
def progress_bar() -> Iterator[ProgressReporter]:
    """Show progress for the length of a `with` block: a bar, or lines without a terminal."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield LineReporter(say)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        yield RichReporter(progress)
