"""A confusion matrix as a table whose cells are the darker the more pixels went there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.html_report.svg_charts import escape_text

STRONGEST = 0.65  # opacity of a whole row in one cell: text stays readable on it, light and dark
LEAST_TOLD = 0.05  # percent, below which a cell stays empty


def confusion_table(counts: NDArray[np.int64], names: Sequence[str]) -> str:
    """Return the table: rows are the truth, cells percent of their row.

    The row of a class that the truth does not show says so.

    Args:
        counts: (C, C) pixels by true and predicted class.
        names: Of the classes.
    """
    head = "".join(f'<th class="down"><span>{escape_text(name)}</span></th>' for name in names)
    lines = [f'<tr><th scope="col">truth, then predicted</th>{head}</tr>']
    for row, name in enumerate(names):
        total = int(counts[row].sum())
        cells = (
            f'<td class="soft absent" colspan="{len(names)}">no frame here shows it</td>'
            if not total
            else "".join(_cell(int(number), total) for number in counts[row])
        )
        lines.append(f'<tr><th scope="row">{escape_text(name)}</th>{cells}</tr>')
    return f'<div class="scroll"><table class="confusion">{"".join(lines)}</table></div>'


def _cell(number: int, total: int) -> str:
    percent = 100 * number / total
    strength = STRONGEST * (number / total) ** 0.5  # small shares are what one looks for
    text = f"{percent:.1f}" if percent >= LEAST_TOLD else ""
    background = f"background:rgba(76,141,214,{strength:.2f})"
    return f'<td style="{background}" title="{number} pixels">{text}</td>'
