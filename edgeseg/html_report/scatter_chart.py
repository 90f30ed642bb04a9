"""Points over two axes as SVG, those on a frontier joined by a stepped line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.html_report.style import COLORS
from edgeseg.html_report.svg_charts import axis_ticks, escape_text, svg_label, svg_picture, svg_rule

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 28, 40
LINE_HEIGHT = 13  # pixels between names that would lie on each other
NAME_WIDTH = 190  # pixels that a name may take


@dataclass(frozen=True)
class Point:
    """A named point.

    Attributes:
        name: Written beside it.
        x, y: Its place.
        spread: Half the length of the bar through it, in units of y; 0 draws none.
        on_frontier: Whether it is drawn filled, and the line goes through it.
    """

    name: str
    x: float
    y: float
    spread: float = 0.0
    on_frontier: bool = False


def scatter_chart(points: Sequence[Point], x_label: str, y_label: str) -> str:
    """Return the points as SVG; x begins at 0."""
    x_ticks = axis_ticks(0, max(point.x for point in points))
    y_ticks = axis_ticks(
        min(point.y - point.spread for point in points),
        max(point.y + point.spread for point in points),
    )

    def across(x: float) -> float:
        return LEFT + x / x_ticks[-1] * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        share = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [svg_rule(LEFT, down(tick), WIDTH - RIGHT, f"{tick:g}") for tick in y_ticks]
    parts += [svg_label(across(tick), HEIGHT - BOTTOM + 16, f"{tick:g}") for tick in x_ticks]
    parts.append(svg_label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, x_label))
    parts.append(
        f'<g transform="translate(12 {HEIGHT / 2}) rotate(-90)">{svg_label(0, 0, y_label)}</g>'
    )
    steps = _steps([(across(p.x), down(p.y)) for p in points if p.on_frontier])
    if steps:
        parts.append(
            f'<polyline points="{steps}" fill="none" stroke="{COLORS[0]}" stroke-width="1.5" '
            'stroke-dasharray="4 3"/>'
        )
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda p: (p.x, p.y)):
        x, y = across(point.x), down(point.y)
        if point.spread:
            top, bottom = down(point.y + point.spread), down(point.y - point.spread)
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" '
                f'stroke="{COLORS[0]}" stroke-opacity="0.4"/>'
            )
        fill = COLORS[0] if point.on_frontier else "none"
        title = f"<title>{escape_text(point.name)}: {point.y:.2f} at {point.x:.1f}</title>"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{COLORS[0]}">'
            f"{title}</circle>"
        )
        # Above the line that goes on to the right; names near the right end lie to the left.
        goes_left = x + NAME_WIDTH > WIDTH
        begin = x - NAME_WIDTH if goes_left else x
        place = _free_line(begin, y - 9, taken)
        taken.append((begin, place))
        anchor, shift = ("end", -6) if goes_left else ("start", 6)
        parts.append(
            f'<text class="axis" x="{x + shift:.1f}" y="{place:.1f}" text-anchor="{anchor}">'
            f"{escape_text(point.name)}</text>"
        )
    return svg_picture(WIDTH, HEIGHT, y_label, parts)


def _steps(places: list[tuple[float, float]]) -> str:
    """Return the corners of a line that goes level to the next point and then up to it."""
    places = sorted(places)
    corners = places[:1]
    for x, y in places[1:]:
        corners += [(x, corners[-1][1]), (x, y)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners) if len(places) > 1 else ""


def _free_line(x: float, y: float, taken: Sequence[tuple[float, float]]) -> float:
    """Return the height nearest to y at which a name that begins at x lies on no other."""
    for shift in sorted(range(-6, 7), key=abs):
        place = y + shift * LINE_HEIGHT
        if not any(abs(x - ox) < NAME_WIDTH and abs(place - oy) < LINE_HEIGHT for ox, oy in taken):
            return place
    return y
