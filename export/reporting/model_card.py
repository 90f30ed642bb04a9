"""card.md: what a person should know before running the bundle, in one page."""

from __future__ import annotations

import re
from typing import Any

from edgeseg.bundle.flavours import FLAVOURS, FP32, INT8_FLAVOURS
from edgeseg.bundle.manifest import Manifest
from edgeseg.export.evaluation.library_verdicts import problem_sentences
from edgeseg.export.reporting.library_table import TABLE_LEGEND, library_remarks, library_tables
from edgeseg.installation import WHEEL
from edgeseg.metrics import format_class_iou

# That would begin a link, emphasis, code, a tag or the next cell; inside a word "_" does nothing.
MARKDOWN_SIGNS = re.compile(r"[\\`*|<\[\]~&]|(?<!\w)_|_(?!\w)")
Figures = dict[str, Any]  # Any: see edgeseg.export.evaluation.figures.accuracy_metrics
STEP_TITLES: dict[str, str] = {"torch": "torch"} | {
    name: spec.title for name, spec in FLAVOURS.items()
}
PARITY_HEADER = ("step", "mIoU", "agreement", "drop", "largest class drop", "ms", "speed")
RECIPE_HEADER = ("rung", "s", "drop", "largest class drop", "agreement", "SQNR", "INT8", "speed")


def render_model_card(
    manifest: Manifest, val_frames: int, terms: list[str], refused: list[str]
) -> str:
    """Return the text of card.md.

    Args:
        val_frames: The number of val frames that the figures come from.
        terms: Sentences about the terms of weights and data.
        refused: Sentences about files that failed their gates.
    """
    origin, classes, figures = manifest.provenance, manifest.classes, manifest.figures
    lines = [
        f"# {_markdown_text(manifest.site)}",
        "",
        f"A segmentation model for one site: {origin['arch']} on {origin['encoder']}, made by "
        f"{origin['method']} in {_markdown_code(origin['run'])}, exported {manifest.created} by "
        f"edgeseg {origin['edgeseg']}.",
        "",
        f"- Input: one {manifest.width}x{manifest.height} RGB frame, uint8.",
        f"- Classes ({len(classes)}): {', '.join(_markdown_text(spec.name) for spec in classes)}.",
        f"- Entropy: {manifest.entropy_width}x{manifest.entropy_height}, with temperature "
        f"{manifest.temperature:.3f}. A pixel is unreliable above {manifest.gamma:.4f}; a frame is "
        f"worth keeping from a score of {manifest.log_threshold:.4f}.",
        "- Made for the cameras and conditions of this site; anywhere else its figures say "
        "nothing.",
        f'- To run it: `pip install "./{WHEEL}[device]"`, the file that `make wheel` makes in a '
        "checkout of edgeseg, then `edgeseg infer BUNDLE --source VIDEO`. Other engines for ONNX "
        "run it as well: docs/other-engines.md there.",
        "",
        f"## Figures on {val_frames} val frames",
        "",
        *parity_table(figures),
        "",
        *class_table(figures),
        "",
    ]
    for title, rows in recipe_rows(figures).items():
        lines += [f"### How {title} was made", "", *_markdown_table(RECIPE_HEADER, rows), ""]
    lines += [
        "Agreement is the share of pixels with the same class: of the FP32 file with torch, of the "
        "others with FP32. The drop is in mIoU points against the same, with its 95 % interval "
        "over frames. Times are of one frame on the exporting machine "
        f"({origin['machine']}, {figures[FP32]['threads']} threads)."
    ]
    lines += [""]
    lines += library_section(figures)
    if refused:
        lines += ["## Refused", "", *(f"- {_markdown_text(sentence)}" for sentence in refused), ""]
    lines += ["## Terms", "", *(f"- {_markdown_text(sentence)}" for sentence in terms), ""]
    return "\n".join(lines)


def library_section(figures: Figures) -> list[str]:
    """Return the lines about NVIDIA's parser and builder; none where they were not asked."""
    tables = library_tables(figures)
    if not tables:
        return []
    lines = ["## NVIDIA's own parser and builder", "", TABLE_LEGEND, ""]
    for title, (header, rows) in tables.items():
        cells = [tuple(row) for row in rows]
        lines += [_markdown_text(title), "", *_markdown_table(tuple(header), cells), ""]
    sentences = (*problem_sentences(figures), *library_remarks(figures))
    return [*lines, *(f"- {_markdown_text(sentence)}" for sentence in sentences), ""]


def parity_rows(figures: Figures, *, interval: bool = True) -> list[tuple[str, ...]]:
    """Return the parity chain as text, in the columns of PARITY_HEADER.

    Args:
        figures: The figures of each step.
        interval: Add its bounds to each drop.
    """
    rows: list[tuple[str, ...]] = []
    for step, title in STEP_TITLES.items():
        if step not in figures:
            continue
        of_step, worst = figures[step], figures[step].get("worst_class")
        drop = "-"
        if "drop" in of_step:
            drop = _format_points(of_step["drop"])
            if interval:
                drop += f" ({', '.join(map(_format_points, of_step['drop_interval']))})"
        rows.append(
            (
                title,
                f"{of_step['miou']:.2f}",
                f"{of_step['agreement']:.2f} %" if "agreement" in of_step else "-",
                drop,
                f"{worst['name']} {_format_points(worst['drop'])}" if worst else "-",
                f"{of_step['ms']:.1f}" if "ms" in of_step else "-",
                f"{of_step['speedup']:.2f}x" if "speedup" in of_step else "-",
            )
        )
    return rows


def recipe_rows(figures: Figures) -> dict[str, list[tuple[str, ...]]]:
    """Return the recipes tried for each INT8 file, by title, in the columns of RECIPE_HEADER."""
    tables: dict[str, list[tuple[str, ...]]] = {}
    for flavour in INT8_FLAVOURS:
        tried = figures.get(flavour, {}).get("ladder", ())
        if tried:
            tables[FLAVOURS[flavour].title] = [_recipe_row(recipe) for recipe in tried]
    return tables


def _recipe_row(recipe: Figures) -> tuple[str, ...]:
    worst = recipe["worst_class"]
    return (
        recipe["rung"],
        f"{recipe['seconds']:.0f}",
        _format_points(recipe["drop"]),
        f"{worst['name']} {_format_points(worst['drop'])}",
        f"{recipe['agreement']:.2f} %",
        f"{recipe['sqnr']:.1f} dB",
        str(recipe["integer"]),
        f"{recipe['speedup']:.2f}x" if "speedup" in recipe else "-",
    )


def _format_points(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # adding 0 turns -0 into 0


def parity_table(figures: Figures) -> list[str]:
    """Return the lines of the parity chain in Markdown."""
    return _markdown_table(PARITY_HEADER, parity_rows(figures))


def class_table(figures: Figures) -> list[str]:
    """Return the lines of a table of each class's IoU at each step, in Markdown."""
    steps = [step for step in STEP_TITLES if step in figures]
    rows = []
    for name in figures["torch"]["per_class"]:
        ious = [figures[step]["per_class"][name] for step in steps]
        rows.append((name, *map(format_class_iou, ious)))
    return _markdown_table(("IoU", *(STEP_TITLES[step] for step in steps)), rows)


def _markdown_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    escaped = [tuple(map(_markdown_text, cells)) for cells in rows]
    lines = [header, ("---",) * len(header), *escaped]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _markdown_text(text: str) -> str:
    r"""Return a text that Markdown shows as it is: "car|van" becomes r"car\|van"."""
    return MARKDOWN_SIGNS.sub(r"\\\g<0>", _printable(text))


def _markdown_code(text: str) -> str:
    """Return a text as code, between more backticks than it holds in a row."""
    printable = _printable(text)
    fence = "`" * (1 + max([0, *map(len, re.findall("`+", printable))]))
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{printable}{space}{fence}"


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "\ufffd" for each in text)
