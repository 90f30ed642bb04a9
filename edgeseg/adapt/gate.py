"""The gate between champion and challenger: what a round's bundle must show on the `gate` frames to
replace the bundle in use.

Not to be confused with the gates of an export (`edgeseg.export.evaluation.gates`): those compare
the INT8 and FP16 files of one bundle with its own float graph and decide which of them it ships.
This one compares two whole bundles, each by the file that it ships.

The rule, in the order in which it is told; the challenger is promoted when every check passes:

1. artefact  it ships an INT8 file if the champion does; that file is what is measured, not the
    float graph
2. mean      mIoU(challenger) - mIoU(champion) is at least -max_drop, whatever the chance
3. chance    the 95 % interval of that difference (paired bootstrap over frames) reaches 0: a small
             loss is forgiven only while it may be luck
4. classes   no class with enough pixels (0.1 % of the judged ones) loses more than max_class_drop
    points of IoU
5. lost      no class that the champion finds (IoU >= 1 %) is lost (IoU < 0.1 %), however few its
    pixels
6. speed     it runs at least min_fps frames a second on the judging machine
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.config import AdaptConfig
from edgeseg.metrics import Counts, MiouGain, explain_doubt, iou_of_shown, miou, paired_bootstrap

MIN_PIXEL_SHARE = 0.001  # share of the judged pixels from which the IoU of a class counts
FOUND_IOU, LOST_IOU = 1.0, 0.1  # percent
ClassIoU = NDArray[np.float64]  # (C,) percent, NaN for a class that no frame shows
ClassPixels = NDArray[np.int64]  # (C,) pixels of the truth


@dataclass(frozen=True, kw_only=True)
class GateMeasurement:
    """The figures of one bundle on the gate frames.

    Attributes:
        name: The bundle's name.
        artefact: The file that was run.
        counts: Confusion matrices (frames, C, C); rows are the truth.
        fps: Frames a second, one at a time.
    """

    name: str
    artefact: str
    counts: Counts
    fps: float


@dataclass(frozen=True)
class GateCheck:
    """One condition of the rule, under the keys of `decision.json`.

    Attributes:
        name: The condition, as in the list above.
        passed: Whether it held.
        says: The figures in words.
    """

    name: str
    passed: bool
    says: str


@dataclass(frozen=True, kw_only=True)
class GateDecision:
    """The decision with everything it rests on, under the keys of `decision.json`.

    Attributes:
        promoted: Whether every check passed.
        reason: One sentence; it names the checks that failed, and says where the gate frames are
            too few to tell the two apart.
        frames: The number of gate frames.
        champion: Name, file, mIoU and FPS of the champion.
        challenger: The same of the challenger.
        difference: Challenger - champion in mIoU points.
        classes: IoU in percent of (champion, challenger) by class; None where the gate frames do
            not show it.
        checks: The conditions in order.
    """

    promoted: bool
    reason: str
    frames: int
    champion: dict[str, Any]  # Any: name, artefact, mIoU and FPS
    challenger: dict[str, Any]  # Any: as champion
    difference: MiouGain
    classes: dict[str, tuple[float | None, float | None]]
    checks: tuple[GateCheck, ...]

    def as_json(self) -> dict[str, Any]:  # Any: plain JSON values
        """Return everything as plain values; a figure that does not exist is null."""
        table = asdict(self)
        table["difference"] = {
            key: _finite_or_none(value) for key, value in asdict(self.difference).items()
        }
        return table


def judge_challenger(
    challenger: GateMeasurement,
    champion: GateMeasurement,
    classes: Sequence[str],
    limits: AdaptConfig,
) -> GateDecision:
    """Apply the rule of this module.

    Raises:
        ValueError: The two were not measured on the same frames.
    """
    difference = paired_bootstrap(
        challenger.counts, champion.counts, draws=limits.draws, block=limits.block
    )
    new, old = challenger.counts.sum(0), champion.counts.sum(0)
    pixels = old.sum(1)
    before, after = iou_of_shown(old), iou_of_shown(new)
    checks = (
        _check_artefact(challenger, champion),
        _check_mean(difference, limits.max_drop),
        _check_chance(difference),
        _check_classes(before, after, pixels, classes, limits.max_class_drop),
        _check_lost(before, after, pixels, classes),
        _check_speed(challenger.fps, limits.min_fps),
    )
    failed = [check for check in checks if not check.passed]
    frames = len(challenger.counts)
    gain = f"{miou(old):.1f} -> {miou(new):.1f} mIoU on {frames} gate frames"
    doubt = explain_doubt(difference, frames, "the challenger", "the champion", "gate")
    told = [check.says for check in failed] or ["every check passed"]
    return GateDecision(
        promoted=not failed,
        reason="; ".join([gain, *told, *filter(None, [doubt])]),
        frames=frames,
        champion=_summarize(champion),
        challenger=_summarize(challenger),
        difference=difference,
        classes={
            name: (_finite_or_none(b), _finite_or_none(a))
            for name, b, a in zip(classes, before, after)
        },
        checks=checks,
    )


def _check_artefact(challenger: GateMeasurement, champion: GateMeasurement) -> GateCheck:
    passed = challenger.artefact == champion.artefact or "int8" not in champion.artefact
    if passed:
        says = f"{challenger.artefact} against {champion.artefact}"
    else:
        says = f"the challenger has no {champion.artefact}, which the champion ships"
    return GateCheck("artefact", passed, says)


def _check_mean(difference: MiouGain, limit: float) -> GateCheck:
    return GateCheck(
        "mean",
        difference.mean >= -limit,
        f"{difference.mean:+.2f} mIoU where at most -{limit:g} is allowed",
    )


def _check_chance(difference: MiouGain) -> GateCheck:
    interval = f"95 % interval {difference.low:+.2f} to {difference.high:+.2f}"
    passed = difference.high >= 0
    return GateCheck(
        "chance", passed, interval if passed else f"the loss is no accident ({interval})"
    )


def _check_classes(
    before: ClassIoU, after: ClassIoU, pixels: ClassPixels, names: Sequence[str], limit: float
) -> GateCheck:
    counted = pixels >= max(1, MIN_PIXEL_SHARE * pixels.sum())
    worse = np.flatnonzero(counted & (before - after > limit))
    drops = [f"{names[int(index)]} {before[index]:.1f} -> {after[index]:.1f}" for index in worse]
    if drops:
        return GateCheck(
            "classes", False, f"more than {limit:g} points of IoU lost in {', '.join(drops)}"
        )
    return GateCheck("classes", True, f"no class loses more than {limit:g} points of IoU")


def _check_lost(
    before: ClassIoU, after: ClassIoU, pixels: ClassPixels, names: Sequence[str]
) -> GateCheck:
    is_lost = (pixels > 0) & (before >= FOUND_IOU) & (after < LOST_IOU)
    lost = [names[int(index)] for index in np.flatnonzero(is_lost)]
    says = f"{', '.join(lost)} is no longer found at all" if lost else "no class is lost"
    return GateCheck("lost", not lost, says)


def _check_speed(fps: float, min_fps: float) -> GateCheck:
    says = f"{fps:.1f} FPS where at least {min_fps:g} is asked"
    return GateCheck("speed", fps >= min_fps, says)


def _summarize(measured: GateMeasurement) -> dict[str, Any]:  # Any: name, file and figures
    return {
        "bundle": measured.name,
        "artefact": measured.artefact,
        "miou": _finite_or_none(miou(measured.counts.sum(0))),
        "fps": round(measured.fps, 2),
    }


def _finite_or_none(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
