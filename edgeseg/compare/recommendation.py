"""Which method to take: a rule over the figures, in plain words, that knows what chance alone can
do.

Two means differ when they lie further apart than t * sqrt(s^2/n + r^2/m) with n and m runs. s and r
are the spreads of the two methods over their seeds: the one pooled over all methods, but for a
method that scatters far more than the
others: it is left out of the pool and has a variance between its own and that of the pool (as
Smyth, 2004, moderates them). t is the two-sided point of Student's distribution for 95 %, the 5 %
divided by the number of rivals (Bonferroni), because the best of many is the luckiest, too. With
one seed the spread has to be assumed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeseg.compare.results import SUPERVISED_ONLY, MethodResult

# spread over seeds where there is one seed: root mean square of eight methods on CamVid
# (RESULTS.md)
ASSUMED_SPREAD = 1.5
OUTLIER_FACTOR = 3.0  # a spread so many times the median one is left out of the pool
# degrees of freedom that the pool has against a wild spread: what two methods of three seeds would
# bring
PRIOR_DEGREES = 4
SIGNIFICANCE = 0.05
CHEAPER_SHARE = 0.9  # share of the time of a step below which a method counts as cheaper
FEW_LABELS = 20
DOMINANT_SHARE = 0.95  # of the labelled pixels in one class
MANY_DEGREES = 10_000  # degrees of freedom of a spread that is assumed


@dataclass(frozen=True)
class SeedNoise:
    """How far apart the means of two methods can lie by chance.

    Attributes:
        spread: pooled standard deviation over seeds; None where every method has one.
        degrees: runs less methods, of those in the pool.
        wild: methods that scatter far more.
        rivals: how many methods had the chance to be the best.
    """

    spread: float | None
    degrees_of_freedom: int
    outliers: frozenset[str]
    rivals: int

    @classmethod
    def estimate(cls, found: Sequence[MethodResult]) -> SeedNoise:
        """Pool the squared deviations of the runs from the means of their methods."""
        rivals = max(1, sum(each.method != SUPERVISED_ONLY for each in found))
        spreads = {each.method: each.spread for each in found if each.spread is not None}
        if not spreads:
            return cls(None, MANY_DEGREES, frozenset(), rivals)
        usual = statistics.median(spreads.values())
        wild = frozenset(
            name
            for name, spread in spreads.items()
            if usual > 0 and spread > OUTLIER_FACTOR * usual
        )
        calm = [each for each in found if each.method in spreads and each.method not in wild]
        degrees = sum(len(each.runs) - 1 for each in calm)
        total = sum((value - each.mean) ** 2 for each in calm for value in each.final_mious)
        return cls(math.sqrt(total / degrees), degrees, wild, rivals)

    def margin(self, one: MethodResult, other: MethodResult) -> float:
        """Points beyond which the two differ by more than chance."""
        total, degrees = 0.0, self.degrees_of_freedom
        for each in (one, other):
            variance = (ASSUMED_SPREAD if self.spread is None else self.spread) ** 2
            if each.method in self.outliers and each.spread is not None:
                own = len(each.runs) - 1
                variance = (PRIOR_DEGREES * variance + own * each.spread**2) / (PRIOR_DEGREES + own)
                degrees = min(degrees, PRIOR_DEGREES + own)
            total += variance / len(each.runs)
        return student_t_quantile(SIGNIFICANCE / self.rivals, degrees) * math.sqrt(total)

    def explain(self) -> str:
        """The rule in a sentence."""
        best = f", and the best of {self.rivals} is the luckiest, too" if self.rivals > 1 else ""
        if self.spread is None:
            return (
                f"one seed each: two runs of one method are taken to scatter by {ASSUMED_SPREAD} points, as they do between "
                f"seeds on CamVid{best}"
            )
        own = (
            f"; {' and '.join(sorted(self.outliers))} scatters far more, which widens its interval"
            if self.outliers
            else ""
        )
        return (
            "two methods differ when their means lie further apart than the 95 % interval of chance, taken from the "
            f"spread over seeds of all methods (sd {self.spread:.2f} points, {self.degrees_of_freedom} degrees of freedom){best}"
            f"{own}"
        )


def student_t_quantile(doubt: float, degrees: int) -> float:
    """The value that Student's t exceeds in size with probability `doubt`.

    The distribution by the finite series for whole degrees of freedom (Abramowitz and Stegun,
    26.7.3 and 26.7.4); the normal one for many.
    """
    if degrees >= 200:
        return statistics.NormalDist().inv_cdf(1 - doubt / 2)

    def outside(value: float) -> float:
        angle = math.atan(value / math.sqrt(degrees))
        power = sum_ = math.cos(angle) if degrees % 2 else 1.0
        for step in range(3 if degrees % 2 else 2, degrees - 1, 2):
            power *= (step - 1) / step * math.cos(angle) ** 2
            sum_ += power
        if degrees % 2 == 0:
            return 1 - math.sin(angle) * sum_
        return 1 - 2 / math.pi * (angle + (math.sin(angle) * sum_ if degrees > 1 else 0.0))

    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if outside(middle) > doubt else (low, middle)
    return high


@dataclass(frozen=True)
class Recommendation:
    """What to take.

    Attributes:
        method: None when no run finished.
        sentences: why, in plain words.
        noise: points that separate the best method from the floor by more than chance; None without
            either.
    """

    method: str | None
    sentences: tuple[str, ...]
    noise: float | None


def recommend_method(found: Sequence[MethodResult], causes: Sequence[str] = ()) -> Recommendation:
    """The best by mean mIoU of the methods that beat the floor by more than noise, or a cheaper one
    as good as it.

    Args:
        found: in any order; a method of which a run failed is left out.
        causes: what may have kept footage from helping on this site (`causes`).
    """
    able = sorted((each for each in found if each.runs), key=lambda each: -each.mean)
    if not able:
        return Recommendation(None, ("no run finished, so there is nothing to recommend",), None)
    floor = next((each for each in able if each.method == SUPERVISED_ONLY), None)
    left_out = [each for each in able if each is not floor and each.failed]
    rivals = [each for each in able if each is not floor and not each.failed]
    gaps = [
        f"left out is {each.method}: {len(each.failed)} of its {len(each.runs) + len(each.failed)} runs failed; "
        "`edgeseg compare --resume` tries them again"
        for each in left_out
    ]
    if floor is None:
        text = f"the highest mean is that of {able[0].method}, but without {SUPERVISED_ONLY} nobody knows whether the footage helped"
        return Recommendation(able[0].method, (text,), None)
    if not rivals:
        return Recommendation(
            SUPERVISED_ONLY,
            (f"only {SUPERVISED_ONLY} finished, so there is nothing to compare it with", *gaps),
            None,
        )

    noise = SeedNoise.estimate([floor, *rivals])
    proven = [each for each in rivals if each.mean - floor.mean > noise.margin(each, floor)]
    best = (proven or rivals)[0]
    limit = noise.margin(best, floor)
    if not proven:
        return Recommendation(
            SUPERVISED_ONLY,
            (*_floor_wins(best, best.mean - floor.mean, limit, causes), *gaps, _rule(noise)),
            limit,
        )
    peers = [each for each in proven if best.mean - each.mean <= noise.margin(best, each)]
    chosen = min(peers, key=lambda each: each.seconds_per_step)
    if chosen.seconds_per_step > CHEAPER_SHARE * best.seconds_per_step:
        chosen = best
    mine = chosen.mean - floor.mean
    sentences = [
        f"take {chosen.method}: {mine:+.1f} points over {SUPERVISED_ONLY}, and {noise.margin(chosen, floor):.1f} could be chance"
    ]
    if chosen is not best:
        share = chosen.seconds_per_step / best.seconds_per_step
        sentences.append(
            f"the highest mean is that of {best.method}, {best.mean - chosen.mean:.1f} points more, within noise, "
            f"and {chosen.method} takes {100 * share:.0f} % of its time a step"
        )
    if rivals[0] is not best:
        sentences.append(
            f"a higher mean is that of {rivals[0].method}, but its runs lie too far apart to count on it"
        )
    others = [each.method for each in peers if each not in (chosen, best)]
    if others:
        sentences.append(f"nothing here tells {' and '.join(others)} from {best.method}")
    return Recommendation(chosen.method, (*sentences, *gaps, _rule(noise)), limit)


def find_causes(
    pixels: Mapping[str, int], labelled: int, cameras: Sequence[str], others: Sequence[str]
) -> list[str]:
    """Which of the typical causes of footage that does not help this site shows.

    Args:
        pixels: labelled pixels of each class.
        labelled: labelled frames.
        cameras, others: cameras of the labelled and of the unlabelled frames.
    """
    total = max(1, sum(pixels.values()))
    missing = [name for name, number in pixels.items() if not number]
    main = max(pixels, key=lambda name: pixels[name])
    strange = sorted(set(others) - set(cameras))
    found = []
    if labelled < FEW_LABELS:
        found.append(
            f"only {labelled} labelled frames, with which train.confidence is easily too low"
        )
    if missing:
        found.append(f"{', '.join(missing)} in no labelled frame")
    if strange:
        found.append(f"footage of {', '.join(strange)}, of which no frame is labelled")
    if pixels[main] > DOMINANT_SHARE * total:
        found.append(f"{100 * pixels[main] / total:.0f} % of the labelled pixels are {main}")
    return found


def _floor_wins(best: MethodResult, gain: float, limit: float, here: Sequence[str]) -> list[str]:
    if gain < -limit:
        first = f"take {SUPERVISED_ONLY}: the footage did not help here, even {best.method} is {-gain:.1f} points below it"
    elif gain < 0:
        first = f"take {SUPERVISED_ONLY}: the footage did not help here, {best.method} comes nearest, {-gain:.1f} points below it"
    else:
        first = (
            f"take {SUPERVISED_ONLY}: the footage did not help measurably here, {best.method} gains {gain:.1f} points and "
            f"{limit:.1f} could be chance"
        )
    typical = (
        "typical causes: a threshold too low with fewer than 20 labelled frames, a class missing from the labels, "
        "footage from other cameras than the labels, more than 95 % of the pixels in one class"
    )
    shown = f"this site shows: {'; '.join(here)}" if here else "this site shows none of these four"
    more = (
        [
            "more seeds or more steps may still tell them apart (`edgeseg compare --resume --seeds N` adds seeds)"
        ]
        if abs(gain) <= limit
        else []
    )
    return [first, typical, shown, *more]


def _rule(noise: SeedNoise) -> str:
    return f"the rule: {noise.explain()}"
