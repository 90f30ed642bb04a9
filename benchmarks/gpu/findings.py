"""What the check of a GPU finds, row by row, kept on the disk as it comes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgeseg.atomic_files import write_atomic
from edgeseg.json_text import to_json

Status = Literal["passed", "FAILED", "skipped"]
WIDTHS = (12, 32, 8, 7)  # of part, item, result and seconds; the text is as long as it is


class Skip(Exception):
    """A measurement that this machine cannot make; the message says why."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one measurement.

    Attributes:
        passed: Whether all is as it should be.
        text: What was seen, for the table.
        figures: The same and more, for the JSON line.
    """

    passed: bool
    text: str
    figures: dict[str, Any] = field(default_factory=dict)  # Any: numbers, texts, lists of them


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    part: str
    item: str
    status: Status
    seconds: float
    text: str
    figures: dict[str, Any] = field(default_factory=dict)  # Any: see Finding

    @classmethod
    def of(cls, part: str, item: str, seconds: float, finding: Finding) -> Row:
        """The row of a measurement that came to its end."""
        status: Status = "passed" if finding.passed else "FAILED"
        return cls(part, item, status, seconds, finding.text, finding.figures)


class Report:
    """The table, printed row by row, and the same as JSON in a file that is whole at any moment."""

    def __init__(self, output: Path | None, facts: dict[str, Any]) -> None:  # Any: see Finding
        """Print the head of the table; `facts` open the JSON line."""
        self.rows: list[Row] = []
        self._output, self._facts, self._began = output, facts, time.monotonic()
        self._stopped = ""
        _print_line("part", "item", "result", "seconds", "what was seen")
        self._write()

    def add(self, row: Row) -> None:
        """Keep a row, then print it."""
        self.rows.append(row)
        self._write()
        _print_line(row.part, row.item, row.status, f"{row.seconds:.1f}", row.text)

    def has_failures(self) -> bool:
        """Tell whether a row failed."""
        return any(row.status == "FAILED" for row in self.rows)

    def stop(self, reason: str) -> None:
        """Note why the check ends early."""
        self._stopped = reason

    def finish(self) -> int:
        """Print the sum and the JSON line.

        Returns:
            The exit code: 0, 1 if a row failed, 130 if the check was stopped.
        """
        counts = {
            status: sum(row.status == status for row in self.rows)
            for status in ("passed", "FAILED", "skipped")
        }
        text = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        print(f"\n{text or 'nothing was measured'}" + f"; {self._stopped}" * bool(self._stopped))
        if self._facts.get("rehearsal"):
            print("This was a rehearsal on a CPU: its figures mean nothing.")
        print(f"\n{self._write()}", flush=True)
        if self._stopped:
            return 130
        return int(self.has_failures())

    def _write(self) -> str:
        """Replace the file; returns its only line."""
        content = self._facts | {
            "seconds": round(time.monotonic() - self._began, 1),
            "stopped": self._stopped,
            "failures": [f"{row.part} {row.item}" for row in self.rows if row.status == "FAILED"],
            "rows": [asdict(row) for row in self.rows],
        }
        line = to_json(content)
        if self._output is not None:
            write_atomic(self._output, f"{line}\n".encode())
        return line


def _print_line(*cells: str) -> None:
    widths = (*WIDTHS, 0)
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip(), flush=True)
