"""The frontier: the candidates that nothing beats in accuracy and time at once."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edgeseg.students.candidates import Candidate


@dataclass(frozen=True)
class CandidateResult:
    """What the trials of a candidate found; figures are means over its seeds.

    Attributes:
        candidate: The student and its input size.
        seeds: The number of trials that ended.
        miou: mIoU on val of the float file, in percent; None where no trial ended.
        int8_miou: The same of the INT8 file for CPUs, whether or not it would ship.
        spread: Largest less smallest mIoU of the float file over the seeds.
        worst_drop: The class that lost most to INT8 in any trial, and how much.
        fp32_ms: Milliseconds a frame of the float file, the fastest run.
        int8_ms: The same of the INT8 file.
        refused: Why the INT8 file of a trial would not ship; empty if all would.
        failed: Why a trial did not end; empty if all did.
    """

    candidate: Candidate
    seeds: int = 0
    miou: float | None = None
    int8_miou: float | None = None
    spread: float = 0.0
    worst_drop: tuple[str, float] = ("", 0.0)
    fp32_ms: float | None = None
    int8_ms: float | None = None
    refused: str = ""
    failed: str = ""

    @property
    def point(self) -> tuple[float, float] | None:
        """Milliseconds and mIoU of the INT8 file; none unless all trials ended and would ship."""
        if self.int8_ms is None or self.int8_miou is None or self.refused or self.failed:
            return None
        return self.int8_ms, self.int8_miou


Key = TypeVar("Key")


def pareto(points: Iterable[tuple[Key, tuple[float, float]]]) -> list[Key]:
    """Return the keys of the points (cost, value) to which no other is at least as good in both
    and better in one, the cheapest first.
    """
    best, kept = float("-inf"), []
    for key, (_, value) in sorted(points, key=lambda item: (item[1][0], -item[1][1])):
        if value > best:
            best = value
            kept.append(key)
    return kept


def frontier(results: Sequence[CandidateResult]) -> list[CandidateResult]:
    """Return the results on the frontier of INT8 time and mIoU, the fastest first."""
    return pareto((result, point) for result in results if (point := result.point) is not None)


def mean(values: Sequence[float]) -> float | None:
    """Return the mean; None of nothing."""
    return statistics.fmean(values) if values else None
