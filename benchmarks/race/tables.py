"""What was found, as tables for a terminal and for Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.race.forms import NETWORK, WHOLE
from benchmarks.race.results import Json
from benchmarks.race.speed import summarize

PARTS = {WHOLE: "end to end", NETWORK: "network alone"}


@dataclass(frozen=True)
class RaceTable:
    """A title, a head and rows of cells."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [self.head, tuple("---" for _ in self.head), *self.rows]
        text = "".join("| " + " | ".join(line) + " |\n" for line in lines)
        return f"{self.title}\n\n{text}"

    def show(self) -> None:
        """Print the table."""
        from rich.console import Console
        from rich.table import Table

        table = Table(title=self.title, title_justify="left")
        for number, name in enumerate(self.head):
            table.add_column(name, justify="right" if number else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        console = Console()
        if not console.is_terminal:
            console = Console(width=160)
        console.print(table)


def speed_tables(speed: Mapping[str, Json], base: str | None = None) -> list[RaceTable]:
    """Return a table for each number of threads and part, the fastest form first.

    Args:
        speed: "speed" of the results.
        base: The form that the others are compared with; the peer's fastest end to end if left out.
    """
    tables = []
    for threads, stored in sorted(speed.items()):
        for part, words in PARTS.items():
            rounds = {
                name: parts[part] for name, parts in stored["rounds"].items() if parts.get(part)
            }
            against = base if base in rounds else _fastest_peer(stored["forms"], rounds)
            if against is None:
                continue
            figures = {name: summarize(own, rounds[against]) for name, own in rounds.items()}
            head = ("form", "FPS", "best", "CPU ms a frame", "x FPS", "x CPU", "peak MB")
            rows = tuple(
                (
                    name,
                    f"{row['fps']:.1f}",
                    f"{row['best_fps']:.1f}",
                    f"{row['cpu_ms']:.1f}",
                    f"{row['fps_ratio']:.2f}",
                    f"{row['cpu_ratio']:.2f}",
                    f"{row['peak_mb']:.0f}",
                )
                for name, row in sorted(figures.items(), key=lambda pair: pair[1]["cpu_ms"])
            )
            number = len(rounds[against])
            title = f"{words}, threads: {threads}, {number} rounds of {stored['frames']} frames, "
            tables.append(RaceTable(title + f"x against {against}", head, rows))
    return tables


def _fastest_peer(forms: Sequence[Json], rounds: Mapping[str, Sequence[Json]]) -> str | None:
    peers = [form["name"] for form in forms if form["side"] == "peer" and form["name"] in rounds]
    if not peers:
        return next(iter(rounds), None)
    fastest: str = min(
        peers, key=lambda name: statistics.median(each["cpu_ms"] for each in rounds[name])
    )
    return fastest


def accuracy_table(accuracy: Mapping[str, Json], classes: Sequence[str]) -> RaceTable:
    """Return a row for each trained network and file, with the IoU of each class."""
    rows = []
    for name, entry in accuracy.items():
        for form, figures in entry.get("figures", {}).items():
            low, high = figures["low"], figures["high"]
            interval = "-" if low is None else f"{low:.1f} to {high:.1f}"
            cells = [name, form, str(entry["frames"]), f"{figures['miou']:.2f}", interval]
            cells += ["-" if value is None else f"{value:.1f}" for value in figures["iou"]]
            rows.append(tuple(cells))
    head = ("network", "file", "frames seen", "mIoU", "95 %", *classes)
    return RaceTable("accuracy on val", head, tuple(rows))
