"""The tables that `edgeseg export` prints: figures of each file, recipes, and checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeseg.export.tensorrt.checklist import ChecklistPoint

Figures = dict[str, Any]  # Any: see edgeseg.export.evaluation.figures.accuracy_metrics


def print_figures(figures: Figures) -> None:
    """Print what each file reached on the val frames, and how the INT8 files were made."""
    from rich.table import Table

    from edgeseg.cli.shared.console import console
    from edgeseg.export.reporting.model_card import (
        PARITY_HEADER,
        RECIPE_HEADER,
        parity_rows,
        recipe_rows,
    )

    table = Table(*PARITY_HEADER, title="the same val frames through every file")
    for cells in parity_rows(figures, interval=False):
        table.add_row(*cells)
    console.print(table)
    for flavour, attempts in recipe_rows(figures).items():
        history = Table(*RECIPE_HEADER, title=f"how {flavour} was made; the last one counts")
        for cells in attempts:
            history.add_row(*cells)
        console.print(history)


def print_points(points: Sequence[ChecklistPoint]) -> None:
    """Print what each point of the TensorRT checklist found."""
    from rich.table import Table

    from edgeseg.cli.shared.console import console

    title = "TensorRT 8.5 to 11, as far as it can be told without it"
    table = Table("", "point", "result", title=title)
    for point in points:
        result = (
            "not looked at: the file is not there"
            if point.findings is None
            else "\n".join(point.findings)
        )
        table.add_row(str(point.number), point.title, result or "passed")
    console.print(table)


def print_library_verdicts(figures: Figures) -> None:
    """Print what NVIDIA's parser and builder said; nothing where they were not asked."""
    from rich.table import Table

    from edgeseg.cli.shared.console import console, say
    from edgeseg.export.reporting.library_table import library_remarks, library_tables

    for title, (header, rows) in library_tables(figures).items():
        table = Table(title=f"{title}: what its parser and builder made of each file")
        for number, name in enumerate(header):
            table.add_column(name, justify="right" if number else "left")
        for cells in rows:
            table.add_row(*cells)
        console.print(table)
    for remark in library_remarks(figures):
        say(remark)
