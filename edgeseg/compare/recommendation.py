"""The recommendation of a comparison: a rule over the figures, in plain words, that knows what
chance alone can do (`seed_noise`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeseg.compare.results import SUPERVISED_ONLY, MethodResult, find_method
from edgeseg.compare.seed_noise import SeedNoise
from edgeseg.compare.variants import base_method, is_floor_variant, is_variant

CHEAPER_SHARE = 0.9  # share of the time of a step below which a method counts as cheaper
FEW_LABELS = 20  # labelled frames
DOMINANT_SHARE = 0.95  # share of the labelled pixels in one class


@dataclass(frozen=True)
class Recommendation:
    """The method to take.

    Attributes:
        method: Its name; None when no run finished.
        sentences: The reasons, in plain words.
        noise: The points that separate the best method from "suponly" by more than chance; None
            without either.
    """

    method: str | None
    sentences: tuple[str, ...]
    noise: float | None


def recommend_method(results: Sequence[MethodResult], causes: Sequence[str] = ()) -> Recommendation:
    """Recommend the best by mean mIoU of the methods that beat "suponly" by more than noise, or a
    cheaper one as good as it.

    "suponly" with settings of its own is another floor: the gain over it is told, but it is no
    rival, and neither widens the interval of chance nor is recommended.

    Args:
        results: The methods, in any order; one of which a run failed is left out.
        causes: What may have kept footage from helping on this site (`find_causes`).
    """
    by_mean = sorted((result for result in results if result.runs), key=lambda each: -each.mean)
    if not by_mean:
        return Recommendation(None, ("no run finished, so there is nothing to recommend",), None)
    baseline = find_method(by_mean, SUPERVISED_ONLY)
    if baseline is None:
        best = by_mean[0].method
        reason = (
            f"the highest mean is that of {best}, but without {SUPERVISED_ONLY} nobody knows "
            "whether the footage helped"
        )
        return Recommendation(best, (reason,), None)
    floors = [result for result in by_mean if is_floor_variant(result.method)]
    others = [result for result in by_mean if result is not baseline and result not in floors]
    rivals = [result for result in others if not result.failed]
    gaps = [_tell_left_out(result) for result in others if result.failed]
    if not rivals:
        reason = f"only {SUPERVISED_ONLY} finished, so there is nothing to compare it with"
        shown = _explain_floors(baseline, floors)
        return Recommendation(SUPERVISED_ONLY, (reason, *shown, *gaps), None)

    noise = SeedNoise.estimate([baseline, *rivals])
    rule = f"the rule: {noise.explain()}"
    proven = [
        rival for rival in rivals if rival.mean - baseline.mean > noise.margin(rival, baseline)
    ]
    best_rival = (proven or rivals)[0]
    limit = noise.margin(best_rival, baseline)
    if not proven:
        gain = best_rival.mean - baseline.mean
        sentences = _explain_baseline(best_rival, gain, limit, causes)
        shown = _explain_floors(baseline, floors)
        return Recommendation(SUPERVISED_ONLY, (*sentences, *shown, *gaps, rule), limit)
    peers = [
        rival for rival in proven if best_rival.mean - rival.mean <= noise.margin(best_rival, rival)
    ]
    chosen = min(peers, key=lambda peer: peer.seconds_per_step)
    if chosen.seconds_per_step > CHEAPER_SHARE * best_rival.seconds_per_step:
        chosen = best_rival
    sentences = _explain_choice(chosen, best_rival, baseline, rivals, peers, noise)
    shown = _explain_floors(chosen, floors)
    return Recommendation(chosen.method, (*sentences, *shown, *gaps, rule), limit)


def best_rival(finished: Sequence[MethodResult]) -> MethodResult | None:
    """Return the best method that is no floor, of methods that are sorted best first."""
    rivals = (each for each in finished if base_method(each.method) != SUPERVISED_ONLY)
    return next(rivals, None)


def _tell_left_out(result: MethodResult) -> str:
    planned = len(result.runs) + len(result.failed)
    return (
        f"left out is {result.method}: {len(result.failed)} of its {planned} runs failed; "
        "`edgeseg compare --resume` tries them again"
    )


def _explain_floors(chosen: MethodResult, floors: Sequence[MethodResult]) -> list[str]:
    """Return how `chosen` stands to variants of "suponly", and what a better one means.

    Args:
        chosen: The recommended method.
        floors: The variants, best mean first.
    """
    if not floors:
        return []
    gains = [f"{chosen.mean - floor.mean:+.1f} over {floor.method}" for floor in floors]
    sentences = [
        f"{chosen.method} beside other floors: {', '.join(gains)} (they show what a gain is "
        "counted from and are not recommended themselves)"
    ]
    better = floors[0]
    if better.mean > chosen.mean:
        sentences.append(
            f"{better.method} has the higher mean: give its settings to all rows, in [train] or "
            "with --set, and compare again"
        )
    return sentences


def _explain_choice(
    chosen: MethodResult,
    best: MethodResult,
    baseline: MethodResult,
    rivals: Sequence[MethodResult],
    peers: Sequence[MethodResult],
    noise: SeedNoise,
) -> list[str]:
    """Return why `chosen` is taken.

    Args:
        chosen: The recommended method.
        best: The one with the highest mean of those that beat `baseline` by more than noise.
        baseline: The result of "suponly".
        rivals: All other methods, best mean first.
        peers: Those that noise does not tell from `best`.
        noise: The chance in the comparison.
    """
    gain = chosen.mean - baseline.mean
    sentences = [
        f"take {chosen.method}: {gain:+.1f} points over {SUPERVISED_ONLY}, and "
        f"{noise.margin(chosen, baseline):.1f} could be chance"
    ]
    if is_variant(chosen.method):
        sentences.append(
            "its settings in brackets are keys of [train]: put them into edgeseg.toml, with "
            f'method = "{base_method(chosen.method)}", and later runs have them too'
        )
    if chosen is not best:
        share = chosen.seconds_per_step / best.seconds_per_step
        sentences.append(
            f"the highest mean is that of {best.method}, {best.mean - chosen.mean:.1f} points "
            f"more, within noise, and {chosen.method} takes {100 * share:.0f} % of its time a step"
        )
    if rivals[0] is not best:
        sentences.append(
            f"a higher mean is that of {rivals[0].method}, but its runs lie too far apart to count "
            "on it"
        )
    equals = [peer.method for peer in peers if peer not in (chosen, best)]
    if equals:
        sentences.append(f"nothing here tells {' and '.join(equals)} from {best.method}")
    return sentences


def _explain_baseline(
    best: MethodResult, gain: float, limit: float, causes: Sequence[str]
) -> list[str]:
    """Return why "suponly" is taken.

    Args:
        best: The method with the highest mean of the others.
        gain: Its points over "suponly".
        limit: The points that could be chance.
        causes: What may have kept footage from helping on this site.
    """
    first = f"take {SUPERVISED_ONLY}: the footage did not help "
    if gain < -limit:
        first += f"here, even {best.method} is {-gain:.1f} points below it"
    elif gain < 0:
        first += f"here, {best.method} comes nearest, {-gain:.1f} points below it"
    else:
        first += (
            f"measurably here, {best.method} gains {gain:.1f} points and {limit:.1f} could be "
            "chance"
        )
    typical = (
        "typical causes: a threshold too low with fewer than 20 labelled frames, a class missing "
        "from the labels, footage from other cameras than the labels, more than 95 % of the pixels "
        "in one class"
    )
    shown = (
        f"this site shows: {'; '.join(causes)}" if causes else "this site shows none of these four"
    )
    sentences = [first, typical, shown]
    if abs(gain) <= limit:
        sentences.append(
            "more seeds or more steps may still tell them apart "
            "(`edgeseg compare --resume --seeds N` adds seeds)"
        )
    return sentences


def find_causes(
    pixels: Mapping[str, int],
    labelled: int,
    labelled_cameras: Sequence[str],
    footage_cameras: Sequence[str],
) -> list[str]:
    """Return those of the typical causes of footage that does not help which this site shows.

    Args:
        pixels: Labelled pixels of each class.
        labelled: The number of labelled frames.
        labelled_cameras: Cameras of the labelled frames.
        footage_cameras: Cameras of the unlabelled frames.
    """
    total = max(1, sum(pixels.values()))
    missing = [name for name, number in pixels.items() if not number]
    largest = max(pixels, key=lambda name: pixels[name])
    unlabelled_cameras = sorted(set(footage_cameras) - set(labelled_cameras))
    causes = []
    if labelled < FEW_LABELS:
        causes.append(
            f"only {labelled} labelled frames, with which train.confidence is easily too low"
        )
    if missing:
        causes.append(f"{', '.join(missing)} in no labelled frame")
    if unlabelled_cameras:
        causes.append(f"footage of {', '.join(unlabelled_cameras)}, of which no frame is labelled")
    if pixels[largest] > DOMINANT_SHARE * total:
        share = 100 * pixels[largest] / total
        causes.append(f"{share:.0f} % of the labelled pixels are {largest}")
    return causes
