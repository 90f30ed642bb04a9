"""Charts of a report as SVG: lines over one pair of axes, and groups of bars."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.html_report.style import COLORS

NOT_IN_HTML = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True)
class Series:
    """A named line of a chart.

    Attributes:
        name: Its name in the legend.
        x: Places along the horizontal axis.
        y: Values, as many as places.
        band: A range (low, high) around each value, or nothing.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    band: Sequence[tuple[float, float]] = ()


def escape_text(value: str) -> str:
    """Escape a text for HTML, within and outside of attributes.

    What no page may hold (control characters, bytes of a name that are no UTF-8) becomes U+FFFD.
    """
    return html.escape(NOT_IN_HTML.sub("\ufffd", value), quote=True)


def axis_ticks(low: float, high: float, number: int = 5) -> list[float]:
    """Return about `number` round values that span low..high.

    For example, 3 to 47 in five steps gives a step of 10 and the ticks 0, 10, 20, 30, 40, 50.
    """
    raw = max(high - low, 1e-9) / number
    power = 10 ** np.floor(np.log10(raw))
    step = float(next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999))
    first = int(np.floor(low / step))
    last = max(first + 1, int(np.ceil(high / step)))
    return [round(n * step, 10) for n in range(first, last + 1)]


def line_chart(series: Sequence[Series], x_label: str, y_label: str) -> str:
    """Return lines over one pair of axes as SVG; a range around a line is a pale band."""
    width, height, left, right, top, bottom = 760, 300, 52, 16, 12, 40
    xs = np.concatenate([line.x for line in series])
    ys = np.concatenate(
        [[*line.y, *(bound for pair in line.band for bound in pair)] for line in series]
    )
    x_ticks, y_ticks = (
        axis_ticks(0, float(xs.max())),
        axis_ticks(float(np.nanmin(ys)), float(np.nanmax(ys))),
    )

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return left + across * (width - left - right), height - bottom - up * (
            height - top - bottom
        )

    parts = [svg_rule(left, place(0, tick)[1], width - right, f"{tick:g}") for tick in y_ticks]
    parts += [svg_label(place(tick, 0)[0], height - bottom + 16, f"{tick:g}") for tick in x_ticks]
    parts.append(svg_label(width / 2, height - 4, x_label))
    parts.append(
        f'<g transform="translate(12 {height / 2}) rotate(-90)">{svg_label(0, 0, y_label)}</g>'
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
            title = f"<title>{escape_text(line.name)}: {y:.2f} at {x:g}</title>"
            parts.append(
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.2" fill="{color}">{title}</circle>'
            )
    return svg_picture(width, height, y_label, parts)


def legend_background(number: int) -> str:
    """Return the background that stands for a line in the legend, striped where it is dashed."""
    color = COLORS[number % len(COLORS)]
    return (
        color
        if number < len(COLORS)
        else f"repeating-linear-gradient(90deg, {color} 0 3px, transparent 3px 5px)"
    )


def bar_chart(
    groups: Sequence[str], names: Sequence[str], values: Sequence[Sequence[float | None]], unit: str
) -> str:
    """Return groups of bars from 0 as SVG; `values[group][name]`, None leaves a gap."""
    width, height, left, bottom, top = 760, 280, 52, 28, 20
    ticks = axis_ticks(
        0, max((value for row in values for value in row if value is not None), default=1.0)
    )
    scale = (height - bottom - top) / ticks[-1]
    parts = [
        svg_rule(left, height - bottom - tick * scale, width - 8, f"{tick:g}") for tick in ticks
    ]
    room = (width - left - 8) / max(1, len(groups))
    bar = min(46.0, room * 0.8 / max(1, len(names)))
    for g, group in enumerate(groups):
        middle = left + room * (g + 0.5)
        parts.append(svg_label(middle, height - 8, group))
        for n, value in enumerate(values[g]):
            if value is None:
                continue
            x, tall = middle + (n - len(names) / 2) * bar, value * scale
            y = height - bottom - tall
            box = f'x="{x + 1:.1f}" y="{y:.1f}" width="{bar - 2:.1f}" height="{tall:.1f}"'
            words = escape_text(f"{group}, {names[n]}: {value:.1f} {unit}")
            color = COLORS[n % len(COLORS)]
            parts.append(f'<rect {box} rx="2" fill="{color}"><title>{words}</title></rect>')
            parts.append(svg_label(x + bar / 2, y - 4, f"{value:.1f}", "value"))
    return svg_picture(width, height, unit, parts)


def svg_picture(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    """Return parts as one SVG; `label` is read out by screen readers."""
    size = f'viewBox="0 0 {width} {height}" width="{width}"'
    return f'<svg {size} role="img" aria-label="{escape_text(label)}">{"".join(parts)}</svg>'


def svg_label(x: float, y: float, text: str, kind: str = "axis") -> str:
    """Return a text around x."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="middle"'
    return f'<text class="{kind}" {place}>{escape_text(text)}</text>'


def svg_rule(left: float, y: float, right: float, label: str) -> str:
    """Return a level line with a label at its left end."""
    line = f'<line class="rule" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
