"""card.md: what a person should know before running the bundle, in one page."""

from __future__ import annotations

from typing import Any

from edgeseg.bundle import FLAVOURS, Manifest
from edgeseg.bundle.flavours import FP32, INT8_CPU, INT8_FLAVOURS

STEP_TITLES: dict[str, str] = {"torch": "torch"} | {
    name: spec.title for name, spec in FLAVOURS.items()
}


def render_model_card(
    manifest: Manifest, val_frames: int, terms: list[str], refused: list[str]
) -> str:
    """The text of card.md."""
    origin, classes = manifest.provenance, manifest.classes
    has_int8 = INT8_CPU in manifest.figures and "refused" not in manifest.figures[INT8_CPU]
    lines = [
        f"# {manifest.site}",
        "",
        f"A segmentation model for one site: {origin['arch']} on {origin['encoder']}, made by {origin['method']} in "
        f"`{origin['run']}`, exported {manifest.created} by edgeseg {origin['edgeseg']}.",
        "",
        f"- Input: one {manifest.width}x{manifest.height} RGB frame, uint8.",
        f"- Classes ({len(classes)}): {', '.join(spec.name for spec in classes)}.",
        f"- Entropy: {manifest.entropy_width}x{manifest.entropy_height}, with temperature {manifest.temperature:.3f}. "
        f"A pixel is unreliable above {manifest.gamma:.4f}; a frame is worth keeping from a score of "
        f"{manifest.log_threshold:.4f}.",
        "- Made for the cameras and conditions of this site; anywhere else its figures say nothing.",
        "",
        f"## Figures on {val_frames} val frames",
        "",
        *parity_table(manifest.figures),
        "",
        *class_table(manifest.figures),
        "",
        *[
            line
            for name, tried in recipe_rows(manifest.figures).items()
            for line in _recipe_section(name, tried)
        ],
        "Agreement is the share of pixels with the same class: of the FP32 file with torch, of the others with FP32. "
        "The drop is in mIoU points against the same, with its 95 % interval over frames. Times are of one frame on "
        "the exporting machine "
        f"({origin['machine']}, {manifest.figures[FP32]['threads']} threads).",
        *(
            ["On an x86 CPU without VNNI the INT8 file can saturate and lose accuracy.", ""]
            if has_int8
            else [""]
        ),
        *(["## Refused", "", *(f"- {sentence}" for sentence in refused), ""] if refused else []),
        "## Terms",
        "",
        *(f"- {sentence}" for sentence in terms),
        "",
    ]
    return "\n".join(lines)


def _recipe_section(name: str, tried: list[tuple[str, ...]]) -> list[str]:
    lines = [RECIPE_HEADER, ("---",) * len(RECIPE_HEADER), *tried]
    return [f"### How {name} was made", "", *(f"| {' | '.join(cells)} |" for cells in lines), ""]


def parity_rows(
    figures: dict[str, Any], *, interval: bool = True
) -> list[tuple[str, ...]]:  # Any: see edgeseg.export.evaluation.figures.accuracy_metrics
    """The parity chain as text, in the columns of HEADER; `interval` adds its bounds to each drop."""
    found: list[tuple[str, ...]] = []
    for step, name in STEP_TITLES.items():
        if step not in figures:
            continue
        one, worst = figures[step], figures[step].get("worst_class")
        drop = "-"
        if "drop" in one:
            low, high = one["drop_interval"]
            drop = _format_points(one["drop"]) + (
                f" ({_format_points(low)}, {_format_points(high)})" if interval else ""
            )
        found.append(
            (
                name,
                f"{one['miou']:.2f}",
                f"{one['agreement']:.2f} %" if "agreement" in one else "-",
                drop,
                f"{worst['name']} {_format_points(worst['drop'])}" if worst else "-",
                f"{one['ms']:.1f}" if "ms" in one else "-",
                f"{one['speedup']:.2f}x" if "speedup" in one else "-",
            )
        )
    return found


def _format_points(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # adding 0 turns -0 into 0


PARITY_HEADER = ("step", "mIoU", "agreement", "drop", "largest class drop", "ms", "speed")


RECIPE_HEADER = ("rung", "s", "drop", "largest class drop", "agreement", "SQNR", "INT8", "speed")


def recipe_rows(figures: dict[str, Any]) -> dict[str, list[tuple[str, ...]]]:  # Any: as `rows`
    """What was tried for each INT8 file, by its name, in the columns of LADDER."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for step in INT8_FLAVOURS:
        tried = figures.get(step, {}).get("ladder", ())
        if tried:
            found[STEP_TITLES[step]] = [
                (
                    one["rung"],
                    f"{one['seconds']:.0f}",
                    _format_points(one["drop"]),
                    f"{one['worst_class']['name']} {_format_points(one['worst_class']['drop'])}",
                    f"{one['agreement']:.2f} %",
                    f"{one['sqnr']:.1f} dB",
                    str(one["integer"]),
                    f"{one['speedup']:.2f}x" if "speedup" in one else "-",
                )
                for one in tried
            ]
    return found


def parity_table(figures: dict[str, Any]) -> list[str]:  # Any: as `rows`
    """`rows` in Markdown."""
    lines = [PARITY_HEADER, ("---",) * len(PARITY_HEADER), *parity_rows(figures)]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def class_table(figures: dict[str, Any]) -> list[str]:  # Any: as `rows`
    """IoU of each class at each step, in Markdown."""
    steps = [step for step in STEP_TITLES if step in figures]
    lines = [("IoU", *(STEP_TITLES[step] for step in steps)), ("---",) * (len(steps) + 1)]
    for name in figures["torch"]["per_class"]:
        values = [figures[step]["per_class"][name] for step in steps]
        lines.append((name, *("-" if value is None else f"{value:.1f}" for value in values)))
    return [f"| {' | '.join(cells)} |" for cells in lines]
