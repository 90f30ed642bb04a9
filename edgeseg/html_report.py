"""A report as one HTML file that needs nothing else: pictures inside, curves and bars as SVG, for
light and dark.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgeseg.atomic_files import write_atomic
from edgeseg.imaging.array_types import Image

COLORS = (
    "#4c8dd6",
    "#e0803a",
    "#3fa66b",
    "#b465c4",
    "#c9a227",
    "#d6556a",
    "#5bb3b8",
    "#8a8f98",
    "#8b6f47",
    "#93b83c",
    "#6f6fd8",
    "#e08ab8",
    "#2f7d8c",
    "#b0522d",
)

STYLE = """
:root { color-scheme: light dark;
  --back: #fbfbfa; --card: #ffffff; --text: #1d2126; --soft: #636c76; --line: #dfe2e6; --best: #e4f3e8 }
@media (prefers-color-scheme: dark) {
  :root {
    --back: #15181c; --card: #1d2126; --text: #e6e8ea; --soft: #98a1ab; --line: #343a42; --best: #1f3a29 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.55 system-ui, sans-serif }
main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 64px }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 6px } h2 { font-size: 19px; margin: 40px 0 6px }
p { margin: 6px 0 14px; max-width: 78ch } .soft, figcaption, .axis { color: var(--soft) }
code { font: 13px ui-monospace, monospace; padding: 1px 5px;
  background: var(--card); border: 1px solid var(--line); border-radius: 4px }
.scroll { overflow-x: auto; margin: 12px 0 }
table { border-collapse: collapse; background: var(--card); font-variant-numeric: tabular-nums }
th, td { padding: 7px 14px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th { color: var(--soft); font-weight: 600 } th:first-child, td:first-child { text-align: left }
td.best { background: var(--best); font-weight: 600 }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0 }
.tile { padding: 12px 18px; min-width: 150px;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px }
.tile b { display: block; font-size: 25px; line-height: 1.25 } .tile span { color: var(--soft); font-size: 13px }
.grid { display: grid; gap: 6px; margin: 12px 0; min-width: 720px } figure { margin: 0 }
.grid img { width: 100%; display: block; border-radius: 3px }
.grid .head { color: var(--soft); font-size: 13px; text-align: center }
figcaption { font-size: 12px; text-align: center }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; margin: 6px 0 }
.legend i { display: inline-block; width: 12px; height: 12px;
  border-radius: 2px; margin-right: 6px; vertical-align: -1px }
svg { display: block; max-width: 100%; height: auto } svg text { fill: var(--soft); font: 12px system-ui, sans-serif }
svg .value { fill: var(--text) } svg .rule { stroke: var(--line); stroke-width: 1 }
"""


@dataclass(frozen=True)
class Series:
    """A named line; `x` and `y` have the same length, and so has `band` where there is one: (low,
    high) around `y`.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    band: Sequence[tuple[float, float]] = ()


class HtmlReport:
    """Collects sections in order; every text given is escaped."""

    def __init__(self, title: str, lead: str = "") -> None:
        self._title = title
        self._parts = [
            f"<h1>{_text(title)}</h1>",
            f'<p class="soft">{_text(lead)}</p>' if lead else "",
        ]

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{_text(text)}</h2>")

    def paragraph(self, text: str) -> None:
        """Running text; what stands between backticks is set as code."""
        pieces = text.split("`")
        marked = (f"<code>{_text(p)}</code>" if n % 2 else _text(p) for n, p in enumerate(pieces))
        self._parts.append(f"<p>{''.join(marked)}</p>")

    def tiles(self, tiles: Sequence[tuple[str, str]]) -> None:
        """Large figures, each with the line below it."""
        cells = "".join(
            f'<div class="tile"><b>{_text(big)}</b><span>{_text(small)}</span></div>'
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
        top = "".join(f"<th>{_text(cell)}</th>" for cell in head)
        lines = []
        for r, row in enumerate(rows):
            cells = (
                f"<td{' class=best' if (r, c) in best else ''}>{_text(cell)}</td>"
                for c, cell in enumerate(row)
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
        cells = [f'<div class="head">{_text(cell)}</div>' for cell in head]
        for row in rows:
            for image, caption in row:
                below = f"<figcaption>{_text(caption)}</figcaption>" if caption else ""
                cells.append(
                    f'<figure><img src="{data_uri(image)}" alt="{_text(caption)}">{below}</figure>'
                )
        style = f"grid-template-columns: repeat({columns}, minmax(0, 1fr))"
        self._parts.append(
            f'<div class="scroll"><div class="grid" style="{style}">{"".join(cells)}</div></div>'
        )

    def legend(self, entries: Sequence[tuple[str, str]]) -> None:
        """Names with their CSS colors or backgrounds."""
        cells = "".join(
            f'<span><i style="background:{_text(color)}"></i>{_text(name)}</span>'
            for name, color in entries
        )
        self._parts.append(f'<div class="legend">{cells}</div>')

    def curves(self, series: Sequence[Series], x_label: str, y_label: str) -> None:
        """Lines over one pair of axes, with a legend; dashed where the colors begin again."""
        shown = [line for line in series if len(line.x)]
        if shown:
            self.legend([(line.name, _swatch(n)) for n, line in enumerate(shown)])
            self._parts.append(_curves(shown, x_label, y_label))

    def bars(
        self,
        groups: Sequence[str],
        names: Sequence[str],
        values: Sequence[Sequence[float | None]],
        unit: str,
    ) -> None:
        """Groups of bars from 0; `values[group][name]`, None leaves a gap."""
        self.legend([(name, COLORS[n % len(COLORS)]) for n, name in enumerate(names)])
        self._parts.append(_bars(groups, names, values, unit))

    def html(self) -> str:
        """The whole page."""
        view = (
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width, '
            'initial-scale=1">'
        )
        head = f"<head>{view}<title>{_text(self._title)}</title><style>{STYLE}</style></head>"
        return (
            "<!doctype html>\n<html "
            f"lang=en>{head}<body><main>{''.join(self._parts)}</main></body></html>\n"
        )

    def write(self, path: Path) -> None:
        """Save the page, atomically."""
        write_atomic(path, self.html().encode())


def data_uri(image: Image, quality: int = 88) -> str:
    """(H, W, 3) RGB as text for an `img`: PNG where it has few colors, as masks do, else JPEG."""
    few = len(np.unique(image.reshape(-1, 3)[::7], axis=0)) <= 64
    kind, options = (".png", []) if few else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])
    done, data = cv2.imencode(kind, np.ascontiguousarray(image[..., ::-1]), options)
    assert done, "encoding a uint8 array cannot fail"
    return (
        f"data:image/{'png' if few else 'jpeg'};base64,{base64.b64encode(data.tobytes()).decode()}"
    )


def _text(value: str) -> str:
    return html.escape(value, quote=True)


def _ticks(low: float, high: float, number: int = 5) -> list[float]:
    """About `number` round values that span low..high."""
    raw = max(high - low, 1e-9) / number
    power = 10 ** np.floor(np.log10(raw))
    step = float(next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999))
    first = int(np.floor(low / step))
    last = max(first + 1, int(np.ceil(high / step)))
    return [round(n * step, 10) for n in range(first, last + 1)]


def _curves(series: Sequence[Series], x_label: str, y_label: str) -> str:
    width, height, left, right, top, bottom = 760, 300, 52, 16, 12, 40
    xs = np.concatenate([line.x for line in series])
    ys = np.concatenate(
        [[*line.y, *(bound for pair in line.band for bound in pair)] for line in series]
    )
    x_ticks, y_ticks = (
        _ticks(0, float(xs.max())),
        _ticks(float(np.nanmin(ys)), float(np.nanmax(ys))),
    )

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return left + across * (width - left - right), height - bottom - up * (
            height - top - bottom
        )

    parts = [_rule(left, place(0, tick)[1], width - right, f"{tick:g}") for tick in y_ticks]
    parts += [_label(place(tick, 0)[0], height - bottom + 16, f"{tick:g}") for tick in x_ticks]
    parts.append(_label(width / 2, height - 4, x_label))
    parts.append(
        f'<g transform="translate(12 {height / 2}) rotate(-90)">{_label(0, 0, y_label)}</g>'
    )
    for number, line in enumerate(series):
        if line.band:
            around = [
                *zip(line.x, (high for _, high in line.band)),
                *zip(line.x[::-1], (b[0] for b in line.band[::-1])),
            ]
            edge = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in around)
            parts.append(
                f'<polygon points="{edge}" fill="{COLORS[number % len(COLORS)]}" '
                'fill-opacity="0.14"/>'
            )
    for number, line in enumerate(series):
        color = COLORS[number % len(COLORS)]
        points = [
            (*place(x, y), x, y) for x, y in zip(line.x, line.y, strict=True) if np.isfinite(y)
        ]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py, _, _ in points)
        dash = ' stroke-dasharray="5 4"' if number >= len(COLORS) else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"{dash}/>'
        )
        for px, py, x, y in points:
            title = f"<title>{_text(line.name)}: {y:.2f} at {x:g}</title>"
            parts.append(
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.2" fill="{color}">{title}</circle>'
            )
    return _svg(width, height, y_label, parts)


def _swatch(number: int) -> str:
    """The background that stands for a line in the legend: striped where the line is dashed."""
    color = COLORS[number % len(COLORS)]
    return (
        color
        if number < len(COLORS)
        else f"repeating-linear-gradient(90deg, {color} 0 3px, transparent 3px 5px)"
    )


def _bars(
    groups: Sequence[str], names: Sequence[str], values: Sequence[Sequence[float | None]], unit: str
) -> str:
    width, height, left, bottom, top = 760, 280, 52, 28, 20
    ticks = _ticks(
        0, max((value for row in values for value in row if value is not None), default=1.0)
    )
    scale = (height - bottom - top) / ticks[-1]
    parts = [_rule(left, height - bottom - tick * scale, width - 8, f"{tick:g}") for tick in ticks]
    room = (width - left - 8) / max(1, len(groups))
    bar = min(46.0, room * 0.8 / max(1, len(names)))
    for g, group in enumerate(groups):
        middle = left + room * (g + 0.5)
        parts.append(_label(middle, height - 8, group))
        for n, value in enumerate(values[g]):
            if value is None:
                continue
            x, tall = middle + (n - len(names) / 2) * bar, value * scale
            y = height - bottom - tall
            box = f'x="{x + 1:.1f}" y="{y:.1f}" width="{bar - 2:.1f}" height="{tall:.1f}"'
            title = f"<title>{_text(group)}, {_text(names[n])}: {value:.1f} {_text(unit)}</title>"
            parts.append(f'<rect {box} rx="2" fill="{COLORS[n % len(COLORS)]}">{title}</rect>')
            parts.append(_label(x + bar / 2, y - 4, f"{value:.1f}", "value"))
    return _svg(width, height, unit, parts)


def _svg(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}"'
    return f'<svg {size} role="img" aria-label="{_text(label)}">{"".join(parts)}</svg>'


def _label(x: float, y: float, text: str, kind: str = "axis") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{_text(text)}</text>'


def _rule(left: float, y: float, right: float, label: str) -> str:
    line = f'<line class="rule" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
