"""The distance by which the means of two methods can differ by chance alone, from the spread over
seeds.

Two means differ when they lie further apart than t * sqrt(s^2/n + r^2/m) with n and m runs. s and r
are the spreads of the two methods over their seeds: the one pooled over all methods, but for a
method that scatters far more than the others. That one is left out of the pool and has a variance
between its own and that of the pool (as Smyth, 2004, moderates them). t is the two-sided point of
Student's distribution for 95 %, the 5 % divided by the number of rivals (Bonferroni), because the
best of many is the luckiest, too. With one seed the spread has to be assumed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.compare.results import SUPERVISED_ONLY, MethodResult
from edgeseg.metrics import student_t_quantile

# spread over seeds where there is one seed: root mean square of eight methods on CamVid
# (benchmarks/RESULTS.md)
ASSUMED_SPREAD = 1.5
MANY_DEGREES = 10_000  # degrees of freedom of a spread that is assumed
OUTLIER_FACTOR = 3.0  # a spread so many times the median one is left out of the pool
# degrees of freedom that the pool has against an outlier's spread: what two methods of three seeds
# would bring
PRIOR_DEGREES = 4
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class SeedNoise:
    """The chance in a comparison.

    Attributes:
        spread: The pooled standard deviation over seeds; None where every method has one.
        degrees_of_freedom: Runs less methods, of those in the pool.
        outliers: Methods that scatter far more.
        rivals: The number of methods that had the chance to be the best.
    """

    spread: float | None
    degrees_of_freedom: int
    outliers: frozenset[str]
    rivals: int

    @classmethod
    def estimate(cls, results: Sequence[MethodResult]) -> SeedNoise:
        """Pool the squared deviations of the runs from the means of their methods.

        For example, three methods of three seeds each, deviating by -1, 0 and 1: the sum of squares
        6 over 9 - 3 = 6 degrees of freedom gives a spread of 1.
        """
        rivals = max(1, sum(result.method != SUPERVISED_ONLY for result in results))
        spreads = {result.method: result.spread for result in results if result.spread is not None}
        if not spreads:
            return cls(None, MANY_DEGREES, frozenset(), rivals)
        median = statistics.median(spreads.values())
        outliers = frozenset(
            name
            for name, spread in spreads.items()
            if median > 0 and spread > OUTLIER_FACTOR * median
        )
        pool = [
            result
            for result in results
            if result.method in spreads and result.method not in outliers
        ]
        degrees = sum(len(result.runs) - 1 for result in pool)
        squares = sum((value - result.mean) ** 2 for result in pool for value in result.final_mious)
        return cls(math.sqrt(squares / degrees), degrees, outliers, rivals)

    def margin(self, first: MethodResult, second: MethodResult) -> float:
        """Return the points beyond which the means of two methods differ by more than chance."""
        total, degrees = 0.0, self.degrees_of_freedom
        for result in (first, second):
            variance = (ASSUMED_SPREAD if self.spread is None else self.spread) ** 2
            if result.method in self.outliers and result.spread is not None:
                own_degrees = len(result.runs) - 1
                weight = PRIOR_DEGREES + own_degrees
                variance = (PRIOR_DEGREES * variance + own_degrees * result.spread**2) / weight
                degrees = min(degrees, weight)
            total += variance / len(result.runs)
        return student_t_quantile(SIGNIFICANCE / self.rivals, degrees) * math.sqrt(total)

    def explain(self) -> str:
        """Return the rule in a sentence."""
        best = f", and the best of {self.rivals} is the luckiest, too" if self.rivals > 1 else ""
        if self.spread is None:
            return (
                f"one seed each: two runs of one method are taken to scatter by {ASSUMED_SPREAD} "
                f"points, as they do between seeds on CamVid{best}"
            )
        widened = ""
        if self.outliers:
            names = " and ".join(sorted(self.outliers))
            widened = f"; {names} scatters far more, which widens its interval"
        return (
            "two methods differ when their means lie further apart than the 95 % interval of "
            f"chance, taken from the spread over seeds of all methods (sd {self.spread:.2f} "
            f"points, {self.degrees_of_freedom} degrees of freedom){best}{widened}"
        )
