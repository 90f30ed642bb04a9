"""Which method to take: a rule over the figures, in plain words, that knows what chance alone can do.

Two means differ when they lie further apart than t * s * sqrt(1/n + 1/m): s is the spread of the runs of one method
over its seeds, pooled over all methods, t the two-sided 95 % point of Student's distribution for that many runs.
With one seed there is no spread to take; then nothing within 2 points counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeseg.compare.figures import FLOOR, Standing

ONE_SEED = 2.0  # points that two runs of one method with different seeds can differ by
CHEAPER = 0.9  # share of the time of a step below which a method counts as cheaper
FEW_LABELS = 20
LOPSIDED = 0.95  # of the labelled pixels in one class
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10,
           2.09, 2.09)  # fmt: skip  # 95 %, two-sided, for 1, 2, ... degrees of freedom; 2.0 beyond


@dataclass(frozen=True)
class Noise:
    """How far apart the means of two methods can lie by chance.

    Attributes:
        spread: pooled standard deviation over seeds; None where every method has one.
        degrees: runs less methods.
    """

    spread: float | None
    degrees: int

    @classmethod
    def of(cls, found: Sequence[Standing]) -> Noise:
        """Pool the squared deviations of all runs from the means of their methods."""
        degrees = sum(len(each.runs) - 1 for each in found if each.runs)
        if degrees < 1:
            return cls(None, 0)
        total = sum((value - each.mean) ** 2 for each in found if each.runs for value in each.values)
        return cls(math.sqrt(total / degrees), degrees)

    def between(self, one: Standing, other: Standing) -> float:
        """Points beyond which the two differ by more than chance."""
        if self.spread is None:
            return ONE_SEED
        factor = STUDENT[self.degrees - 1] if self.degrees <= len(STUDENT) else 2.0
        return factor * self.spread * math.sqrt(1 / len(one.runs) + 1 / len(other.runs))

    def rule(self) -> str:
        """The rule in a sentence."""
        if self.spread is None:
            return f"one seed decides nothing within about {ONE_SEED:.0f} points: a smaller difference counts as noise"
        return (
            "two methods differ when their means lie further apart than the 95 % interval of chance, taken from the "
            f"spread over seeds of all methods (sd {self.spread:.2f} points, {self.degrees} degrees of freedom)"
        )


@dataclass(frozen=True)
class Verdict:
    """What to take.

    Attributes:
        method: None when no run finished.
        sentences: why, in plain words.
        noise: points that separate the best method from the floor by more than chance; None without either.
    """

    method: str | None
    sentences: tuple[str, ...]
    noise: float | None


def recommend(found: Sequence[Standing], causes: Sequence[str] = ()) -> Verdict:
    """The best method by mean mIoU if it beats the floor by more than noise, or a cheaper one as good as it.

    Args:
        found: in any order.
        causes: what may have kept footage from helping on this site (`causes`).
    """
    able = sorted((each for each in found if each.runs), key=lambda each: -each.mean)
    if not able:
        return Verdict(None, ("no run finished, so there is nothing to recommend",), None)
    noise = Noise.of(able)
    floor = next((each for each in able if each.method == FLOOR), None)
    rivals = [each for each in able if each is not floor]
    if floor is None:
        text = f"{able[0].method} has the highest mean, but without {FLOOR} nobody knows whether the footage helped"
        return Verdict(able[0].method, (text,), None)
    if not rivals:
        return Verdict(FLOOR, (f"only {FLOOR} finished, so there is nothing to compare it with",), None)

    best = rivals[0]
    gain, limit = best.mean - floor.mean, noise.between(best, floor)
    if gain <= limit:
        return Verdict(FLOOR, (*_floor_wins(best, gain, limit, noise, causes), _rule(noise)), limit)
    peers = [
        each
        for each in rivals
        if best.mean - each.mean <= noise.between(best, each) and each.mean - floor.mean > noise.between(each, floor)
    ]
    chosen = min(peers, key=lambda each: each.seconds_per_step)
    if chosen.seconds_per_step > CHEAPER * best.seconds_per_step:
        chosen = best
    mine = chosen.mean - floor.mean
    sentences = [
        f"take {chosen.method}: {mine:+.1f} points over {FLOOR}, and {noise.between(chosen, floor):.1f} could be chance"
    ]
    if chosen is not best:
        share = chosen.seconds_per_step / best.seconds_per_step
        sentences.append(
            f"{best.method} is {best.mean - chosen.mean:.1f} points higher, which is within noise, and "
            f"{chosen.method} takes {100 * share:.0f} % of its time a step"
        )
    others = [each.method for each in peers if each not in (chosen, best)]
    if others:
        sentences.append(f"{' and '.join(others)} cannot be told apart from {best.method} here")
    return Verdict(chosen.method, (*sentences, _rule(noise)), limit)


def causes(pixels: Mapping[str, int], labelled: int, cameras: Sequence[str], others: Sequence[str]) -> list[str]:
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
        found.append(f"only {labelled} labelled frames, with which train.confidence is easily too low")
    if missing:
        found.append(f"{', '.join(missing)} in no labelled frame")
    if strange:
        found.append(f"footage of {', '.join(strange)}, of which no frame is labelled")
    if pixels[main] > LOPSIDED * total:
        found.append(f"{100 * pixels[main] / total:.0f} % of the labelled pixels are {main}")
    return found


def _floor_wins(best: Standing, gain: float, limit: float, noise: Noise, here: Sequence[str]) -> list[str]:
    if gain < -limit:
        first = f"take {FLOOR}: the footage did not help here, even {best.method} is {-gain:.1f} points below it"
    elif gain < 0:
        first = f"take {FLOOR}: the footage did not help here, {best.method} comes nearest, {-gain:.1f} points below it"
    else:
        first = (
            f"take {FLOOR}: the footage did not help measurably here, {best.method} gains {gain:.1f} points and "
            f"{limit:.1f} could be chance"
        )
    typical = (
        "typical causes: a threshold too low with fewer than 20 labelled frames, a class missing from the labels, "
        "footage from other cameras than the labels, more than 95 % of the pixels in one class"
    )
    shown = f"this site shows: {'; '.join(here)}" if here else "this site shows none of these four"
    more = (
        ["more seeds or more steps may still tell them apart (`edgeseg compare --resume --seeds N` adds seeds)"]
        if abs(gain) <= limit
        else []
    )
    return [first, typical, shown, *more]


def _rule(noise: Noise) -> str:
    return f"the rule: {noise.rule()}"
