"""A reliability diagram as SVG: how often a network is right where it is so confident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.html_report.style import COLORS
from edgeseg.html_report.svg_charts import escape_text, svg_label, svg_picture, svg_rule

SIDE, LEFT, TOP, BOTTOM = 300, 66, 12, 40
BARS = 70  # pixels of the bars below, which say how many pixels are so confident
GAP = 28


@dataclass(frozen=True)
class ReliabilityCurve:
    """One network.

    Attributes:
        name: Its name in the legend.
        points: (mean confidence, accuracy, share of all pixels) of each bin.
    """

    name: str
    points: Sequence[tuple[float, float, float]]


def reliability_chart(curves: Sequence[ReliabilityCurve]) -> str:
    """Return the curves around the diagonal, which is confidence that is as good as its word.

    Below stand the shares of the pixels of each bin, of the first curve.
    """
    width, height = LEFT + SIDE + 20, TOP + SIDE + GAP + BARS + BOTTOM
    ticks = [0, 0.25, 0.5, 0.75, 1]
    parts = [svg_rule(LEFT, _down(tick), LEFT + SIDE, f"{100 * tick:.0f} %") for tick in ticks]
    parts += [svg_label(_across(tick), TOP + SIDE + 16, f"{100 * tick:.0f} %") for tick in ticks]
    parts.append(
        f'<line x1="{_across(0)}" y1="{_down(0)}" x2="{_across(1)}" y2="{_down(1)}" '
        'stroke="#8a8f98" stroke-dasharray="4 4"/>'
    )
    parts.append(
        f'<g transform="translate(10 {TOP + SIDE / 2}) rotate(-90)">{svg_label(0, 0, "right")}</g>'
    )
    for number, curve in enumerate(curves):
        parts += _curve(curve, COLORS[number % len(COLORS)])
    if curves:
        parts += _bars(curves[0])
    parts.append(svg_label(LEFT + SIDE / 2, height - 8, "confidence"))
    return svg_picture(width, height, "share of right pixels over confidence", parts)


def _across(confidence: float) -> float:
    return LEFT + confidence * SIDE


def _down(accuracy: float) -> float:
    return TOP + (1 - accuracy) * SIDE


def _curve(curve: ReliabilityCurve, color: str) -> list[str]:
    path = " ".join(f"{_across(sure):.1f},{_down(right):.1f}" for sure, right, _ in curve.points)
    parts = [f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>']
    for sure, right, share in curve.points:
        words = escape_text(
            f"{curve.name}: {100 * right:.1f} % right at {100 * sure:.1f} % confidence, "
            f"{100 * share:.1f} % of the pixels"
        )
        parts.append(
            f'<circle cx="{_across(sure):.1f}" cy="{_down(right):.1f}" r="3.2" fill="{color}">'
            f"<title>{words}</title></circle>"
        )
    return parts


def _bars(curve: ReliabilityCurve) -> list[str]:
    floor = TOP + SIDE + GAP + BARS
    parts = [f'<line class="rule" x1="{LEFT}" x2="{LEFT + SIDE}" y1="{floor}" y2="{floor}"/>']
    for sure, _, share in curve.points:
        tall = max(1.0, share * BARS)
        parts.append(
            f'<rect x="{_across(sure) - 4:.1f}" y="{floor - tall:.1f}" width="8" '
            f'height="{tall:.1f}" fill="{COLORS[0]}"><title>{100 * share:.1f} % of the pixels'
            "</title></rect>"
        )
    label = f'<text class="axis" x="{LEFT - 6}" y="{floor}" text-anchor="end">pixels</text>'
    return [*parts, label]
