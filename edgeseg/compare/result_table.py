"""The table of a comparison: with everything behind it for machines, in short for people."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeseg.atomic_files import write_atomic
from edgeseg.compare.frame_noise import frame_interval
from edgeseg.compare.results import SUPERVISED_ONLY, MethodResult, find_method

CSV_COLUMNS = (
    "method",
    "seeds",
    "miou",
    "sd",
    "low",
    "high",
    "gain",
    "closed_share",
    "rare_iou",
    "best_miou",
    "seconds_per_step",
    "memory_bytes",
    "kept_share",
    "failed",
)


def table_row(
    result: MethodResult,
    baseline: MethodResult | None,
    rare: Sequence[str],
    blocks: Sequence[int] = (),
    ceiling: float | None = None,
) -> dict[str, Any]:  # Any: numbers, lists, text
    """Return one method of `metrics.json`.

    Args:
        result: The method.
        baseline: What its gain is counted from, "suponly" if it has finished.
        rare: Names of the rare classes.
        blocks: The number of each val frame's block, for the interval over frames.
        ceiling: mIoU that all labels would give, if that is known.
    """
    failed = {str(seed): reason for seed, reason in result.failed.items()}
    if not result.runs:
        return {"method": result.method, "seeds": 0, "failed": failed}
    gain = result.mean - baseline.mean if baseline and result is not baseline else None
    interval = frame_interval(result, blocks)
    bounds = interval.as_json() if interval else {"low": None, "high": None}
    return {
        "method": result.method,
        "seeds": len(result.runs),
        "miou": round(result.mean, 4),
        "sd": _round(result.spread),
        "low": bounds["low"],
        "high": bounds["high"],
        "gain": _round(gain),
        "closed_share": _round(closed_share(result, baseline, ceiling)),
        "rare_iou": _round(result.mean_iou_of(rare)),
        "best_miou": round(result.best, 4),
        "seconds_per_step": result.seconds_per_step,
        "memory_bytes": result.memory,
        "kept_share": _round(result.kept),
        "last": {str(run.seed): run.last for run in result.runs},
        "best": {
            str(run.seed): {"miou": round(run.best, 4), "step": run.best_step}
            for run in result.runs
        },
        "per_class": {name: _round(result.class_iou(name)) for name in result.runs[0].per_class},
        "failed": failed,
    }


def closed_share(
    result: MethodResult, baseline: MethodResult | None, ceiling: float | None
) -> float | None:
    """Return how much of the way from "suponly" to the ceiling a method has gone.

    For example, 58 of the way from 50 to 60 is 0.8; None where there is no way to go.
    """
    if ceiling is None or baseline is None or result is baseline or ceiling <= baseline.mean:
        return None
    return (result.mean - baseline.mean) / (ceiling - baseline.mean)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:  # Any: as in `table_row`
    """Write the plain figures of `table_row` as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        reasons = "; ".join(f"seed {seed}: {reason}" for seed, reason in row["failed"].items())
        writer.writerow({**row, "failed": reasons})
    write_atomic(path, text.getvalue().encode(errors="backslashreplace"))


def table_header(results: Sequence[MethodResult], ceiling: float | None = None) -> list[str]:
    """Return the column heads of the table for people."""
    on_gpu = any(run.on_gpu for result in results for run in result.runs)
    memory = "GPU GB" if on_gpu else "GB"
    closed = [] if ceiling is None else ["closed"]
    heads = ["method", "mIoU", "sd", "± val", "gain", *closed]
    return [*heads, "rare", "s a step", memory, "kept", "seeds"]


def table_cells(
    results: Sequence[MethodResult],
    rare: Sequence[str],
    blocks: Sequence[int] = (),
    ceiling: float | None = None,
) -> list[list[str]]:
    """Return the rows of the table for people.

    The last cell counts the seeds that failed, whose reasons are too long for it. The others are
    described in `table_row`.
    """
    baseline = find_method(results, SUPERVISED_ONLY)
    width = len(table_header(results, ceiling))
    rows = []
    for result in results:
        if not result.runs:
            rows.append([result.method, *["-"] * (width - 2), f"{len(result.failed)} failed"])
            continue
        gain = "-"
        if baseline is not None and result is not baseline:
            gain = f"{result.mean - baseline.mean:+.2f}"
        share = closed_share(result, baseline, ceiling)
        closed = [] if ceiling is None else ["-" if share is None else f"{100 * share:.0f} %"]
        interval = frame_interval(result, blocks)
        margin = None if interval is None else (interval.high - interval.low) / 2
        failed = f", {len(result.failed)} failed" if result.failed else ""
        rows.append(
            [
                result.method,
                f"{result.mean:.2f}",
                format_figure(result.spread, 2),
                format_figure(margin),
                gain,
                *closed,
                format_figure(result.mean_iou_of(rare)),
                f"{result.seconds_per_step:.3f}",
                "-" if result.memory is None else f"{result.memory / 1e9:.2f}",
                "-" if result.kept is None else f"{100 * result.kept:.0f} %",
                f"{len(result.runs)}{failed}",
            ]
        )
    return rows


def format_figure(value: float | None, digits: int = 1) -> str:
    """Return a number with so many digits, a dash for None."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
