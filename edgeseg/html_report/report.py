"""A report as one HTML file that needs nothing else: images inside, charts as SVG."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.atomic_files import write_atomic
from edgeseg.html_report.confusion_table import confusion_table
from edgeseg.html_report.reliability_chart import ReliabilityCurve, reliability_chart
from edgeseg.html_report.scatter_chart import Point, scatter_chart
from edgeseg.html_report.style import COLORS, STYLE
from edgeseg.html_report.svg_charts import (
    Series,
    bar_chart,
    escape_text,
    legend_background,
    line_chart,
)
from edgeseg.imaging.array_types import Image


class HtmlReport:
    """A page of sections in the order in which they are added; every text given is escaped."""

    def __init__(self, title: str, lead: str = "") -> None:
        self._title = title
        self._parts = [
            f"<h1>{escape_text(title)}</h1>",
            f'<p class="soft">{escape_text(lead)}</p>' if lead else "",
        ]

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{escape_text(text)}</h2>")

    def paragraph(self, text: str) -> None:
        """Running text; what stands between backticks is set as code."""
        pieces = text.split("`")
        marked = (
            f"<code>{escape_text(p)}</code>" if n % 2 else escape_text(p)
            for n, p in enumerate(pieces)
        )
        self._parts.append(f"<p>{''.join(marked)}</p>")

    def tiles(self, tiles: Sequence[tuple[str, str]]) -> None:
        """Large figures, each with the line below it."""
        cells = "".join(
            f'<div class="tile"><b>{escape_text(big)}</b><span>{escape_text(small)}</span></div>'
            for big, small in tiles
        )
        self._parts.append(f'<div class="tiles">{cells}</div>')

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        best: Sequence[tuple[int, int]] = (),
    ) -> None:
        """A table; `best` holds the (row, column) of cells to mark."""
        top = "".join(f"<th>{escape_text(cell)}</th>" for cell in head)
        lines = []
        for row_number, row in enumerate(rows):
            cells = (
                f"<td{' class=best' if (row_number, column) in best else ''}>"
                f"{escape_text(cell)}</td>"
                for column, cell in enumerate(row)
            )
            lines.append(f"<tr>{''.join(cells)}</tr>")
        self._parts.append(
            f'<div class="scroll"><table><tr>{top}</tr>{"".join(lines)}</table></div>'
        )

    def pictures(self, head: Sequence[str], rows: Sequence[Sequence[tuple[Image, str]]]) -> None:
        """Images (H, W, 3) RGB with captions, in rows under the column heads (none for a plain wall
        of pictures).
        """
        columns = max((len(row) for row in rows), default=1)
        cells = [f'<div class="head">{escape_text(cell)}</div>' for cell in head]
        for row in rows:
            for image, caption in row:
                text = escape_text(caption)
                below = f"<figcaption>{text}</figcaption>" if caption else ""
                picture = f'<img src="{data_uri(image)}" alt="{text}">'
                cells.append(f"<figure>{picture}{below}</figure>")
        style = f"grid-template-columns: repeat({columns}, minmax(0, 1fr))"
        self._parts.append(
            f'<div class="scroll"><div class="grid" style="{style}">{"".join(cells)}</div></div>'
        )

    def legend(self, entries: Sequence[tuple[str, str]]) -> None:
        """Names with their CSS colors or backgrounds."""
        cells = "".join(
            f'<span><i style="background:{escape_text(color)}"></i>{escape_text(name)}</span>'
            for name, color in entries
        )
        self._parts.append(f'<div class="legend">{cells}</div>')

    def curves(self, series: Sequence[Series], x_label: str, y_label: str) -> None:
        """Lines over one pair of axes, with a legend; dashed where the colors begin again."""
        shown = [line for line in series if len(line.x)]
        if shown:
            self.legend([(line.name, legend_background(n)) for n, line in enumerate(shown)])
            self._parts.append(line_chart(shown, x_label, y_label))

    def scatter(self, points: Sequence[Point], x_label: str, y_label: str) -> None:
        """Named points over two axes, those on a frontier joined."""
        if points:
            self._parts.append(scatter_chart(points, x_label, y_label))

    def confusion(self, counts: NDArray[np.int64], names: Sequence[str]) -> None:
        """A confusion matrix (C, C), rows are the truth, in percent of its row."""
        self._parts.append(confusion_table(counts, names))

    def reliability(self, curves: Sequence[ReliabilityCurve]) -> None:
        """A reliability diagram, with a legend."""
        shown = [curve for curve in curves if curve.points]
        if shown:
            self.legend([(curve.name, COLORS[n % len(COLORS)]) for n, curve in enumerate(shown)])
            self._parts.append(reliability_chart(shown))

    def bars(
        self,
        groups: Sequence[str],
        names: Sequence[str],
        values: Sequence[Sequence[float | None]],
        unit: str,
    ) -> None:
        """Groups of bars from 0; `values[group][name]`, None leaves a gap."""
        self.legend([(name, COLORS[n % len(COLORS)]) for n, name in enumerate(names)])
        self._parts.append(bar_chart(groups, names, values, unit))

    def html(self) -> str:
        """The whole page."""
        view = (
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width, '
            'initial-scale=1">'
        )
        head = f"<head>{view}<title>{escape_text(self._title)}</title><style>{STYLE}</style></head>"
        return (
            "<!doctype html>\n<html "
            f"lang=en>{head}<body><main>{''.join(self._parts)}</main></body></html>\n"
        )

    def write(self, path: Path) -> None:
        """Save the page, atomically."""
        write_atomic(path, self.html().encode())


def data_uri(image: Image, quality: int = 88) -> str:
    """Return (H, W, 3) RGB as the source of an `img`.

    It is a PNG where the image has few colors, as masks do, and otherwise a JPEG.
    """
    few = len(np.unique(image.reshape(-1, 3)[::7], axis=0)) <= 64
    kind, options = (".png", []) if few else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])
    done, data = cv2.imencode(kind, np.ascontiguousarray(image[..., ::-1]), options)
    assert done, "encoding a uint8 array cannot fail"
    return (
        f"data:image/{'png' if few else 'jpeg'};base64,{base64.b64encode(data.tobytes()).decode()}"
    )
