"""The report of the trials: the plot of accuracy over time, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeseg.config import named_students
from edgeseg.html_report import HtmlReport, Point
from edgeseg.site import Site
from edgeseg.students.frontier import CandidateResult, frontier
from edgeseg.students.trials import TrialPlan

HEAD = (
    "student",
    "size",
    "mIoU INT8",
    "INT8 ms",
    "FP32 ms",
    "drop",
    "worst class",
    "spread",
    "frontier",
)


def student_label(result: CandidateResult) -> str:
    """Return "arch/encoder", with the student's own name behind if it has one."""
    arch, encoder = result.candidate.student
    name = named_students.name_of(arch, encoder)
    return f"{arch}/{encoder}" + (f" ({name})" if name else "")


def by_time(results: Sequence[CandidateResult]) -> list[CandidateResult]:
    """Return the results, the fastest INT8 file first and those without one last."""
    return sorted(results, key=lambda result: result.int8_ms or float("inf"))


def table_rows(results: Sequence[CandidateResult]) -> list[tuple[str, ...]]:
    """Return the cells of the table below `HEAD`, in the order of `by_time`."""
    best = frontier(results)
    return [_row(result, on_frontier=result in best) for result in by_time(results)]


def _row(result: CandidateResult, *, on_frontier: bool) -> tuple[str, ...]:
    height, width = result.candidate.size
    start = (student_label(result), f"{height}x{width}")
    if result.miou is None:
        return (*start, *["-"] * 6, "failed")
    drop = None if result.int8_miou is None else result.miou - result.int8_miou
    name, lost = result.worst_drop
    verdict = "failed" if result.failed else "refused" if result.refused else ""
    return (
        *start,
        f"{result.int8_miou:.1f}" if result.int8_miou is not None else "-",
        f"{result.int8_ms:.1f}" if result.int8_ms else "-",
        f"{result.fp32_ms:.1f}" if result.fp32_ms else "-",
        f"{drop:+.2f}" if drop is not None else "-",
        f"{name} {lost:+.2f}" if name else "-",
        f"{result.spread:.1f}" if result.seeds > 1 else "-",
        verdict or ("yes" if on_frontier else "no"),
    )


def reasons(results: Sequence[CandidateResult]) -> list[str]:
    """Return a sentence for each candidate that failed, or whose INT8 file would not ship."""
    return [
        f"{result.candidate.name}: {result.failed or result.refused}"
        for result in by_time(results)
        if result.failed or result.refused
    ]


def write_page(
    site: Site, plan: TrialPlan, results: Sequence[CandidateResult], path: Path, threads: int
) -> None:
    """Write the report."""
    teacher = f"{plan.teacher.parent.name}/{plan.teacher.name}"
    times = "once" if plan.seeds == 1 else f"{plan.seeds} times"
    page = HtmlReport(
        f"{site.config.name}: {len(plan.candidates)} edge networks",
        f"Each distilled {times} from {teacher} in {plan.steps} steps; mIoU on "
        f"{len(site.frames('val'))} val frames at the labels' size; times of one race on "
        f"{threads} thread{'s' if threads > 1 else ''}, pictures in and masks out.",
    )
    best = frontier(results)
    page.heading("Accuracy and time of the INT8 files")
    sizes = {candidate.size for candidate in plan.candidates}
    points = []
    for result in results:
        if result.int8_ms is not None and result.int8_miou is not None:
            label = student_label(result)
            height, width = result.candidate.size
            name = label if len(sizes) == 1 else f"{label} {height}x{width}"
            points.append(
                Point(name, result.int8_ms, result.int8_miou, result.spread / 2, result in best)
            )
    page.scatter(points, "milliseconds a frame", "mIoU")
    page.paragraph(
        "Filled points are on the frontier: nothing is at least as accurate and as fast, and "
        "better in one. Open ones are not, or an INT8 file of theirs would not ship. Bars span the "
        "seeds."
    )
    page.heading("The figures")
    page.table(HEAD, table_rows(results))
    for reason in reasons(results):
        page.paragraph(f"{reason}.")
    page.paragraph(
        "`drop` is what INT8 costs in mIoU, `worst class` the class that loses most in any trial, "
        "`spread` the largest less the smallest mIoU over the seeds."
    )
    page.write(path)
