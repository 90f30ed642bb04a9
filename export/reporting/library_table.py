"""The verdicts of NVIDIA's parser and builder as a table and sentences, for all who show them."""

from __future__ import annotations

from typing import Any

from edgeseg.bundle.flavours import FLAVOURS
from edgeseg.export.evaluation.library_verdicts import FileVerdict, all_verdicts

Figures = dict[str, Any]  # Any: see edgeseg.export.evaluation.figures.accuracy_metrics
TABLE_LEGEND = (
    "Layers of the network that the parser read, then size of the engine that was built for a "
    "compute capability, and the time that took."
)
NOTHING_RAN = "No engine was run: this tells what can be read and built, not what comes out of it."
NO_PROOF = (
    "TensorRT for RTX reads graphs with NVIDIA's ONNX parser, but it is not the TensorRT of a "
    "Jetson (8.x, 10.x): its yes is no proof for those."
)


def library_tables(figures: Figures) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Return header and rows for each library that was asked, by its name and version.

    A column is a file, a row what was asked: layers, then the engine for each target.

    Args:
        figures: The figures of a bundle.
    """
    by_library: dict[str, list[tuple[str, FileVerdict]]] = {}
    for flavour, verdicts in all_verdicts(figures).items():
        for verdict in verdicts:
            by_library.setdefault(verdict.title, []).append((FLAVOURS[flavour].file, verdict))
    tables = {}
    for title, asked in by_library.items():
        verdicts = [verdict for _, verdict in asked]
        targets = list(dict.fromkeys(build.compute for one in verdicts for build in one.builds))
        rows = [["layers", *map(_layers, verdicts)]]
        for target in targets:
            name = f"compute {target}" if target else "the GPU at hand"
            rows.append([name, *(_engine(verdict, target) for verdict in verdicts)])
        tables[title] = (["", *(file for file, _ in asked)], rows)
    return tables


def library_remarks(figures: Figures) -> list[str]:
    """Return what a reader of the tables must know: warnings, and what no verdict proves."""
    verdicts = all_verdicts(figures)
    if not verdicts:
        return []
    warnings = [
        f"{verdict.title} warns about {FLAVOURS[flavour].file}: {text}"
        for flavour, of_file in verdicts.items()
        for verdict in of_file
        for text in verdict.warnings
    ]
    libraries = {verdict.library for of_file in verdicts.values() for verdict in of_file}
    return [*warnings, f"{NOTHING_RAN} {NO_PROOF}" if "tensorrt-rtx" in libraries else NOTHING_RAN]


def _layers(verdict: FileVerdict) -> str:
    if verdict.parsed:
        return str(verdict.layers)
    return "no verdict" if verdict.unfinished else "not read"


def _engine(verdict: FileVerdict, target: str | None) -> str:
    build = next((build for build in verdict.builds if build.compute == target), None)
    if build is None:
        return "-"
    if build.bytes is None:
        return "not built"
    return f"{build.bytes / 1e6:.1f} MB, {build.seconds:.1f} s"
