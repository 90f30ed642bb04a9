"""The judgement between champion and challenger on the `gate` frames: what a bundle must show to
replace another.

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

from edgeseg.config import AdaptConfig
from edgeseg.metrics import Counts, MiouGain, iou, miou, paired_bootstrap

ENOUGH_PIXELS = 0.001
FOUND, LOST = 1.0, 0.1


@dataclass(frozen=True, kw_only=True)
class GateMeasurement:
    """What one bundle did on the gate frames.

    Attributes:
        name: of the bundle.
        artefact: the file that was run.
        counts: (frames, C, C), rows are the truth.
        fps: frames a second, one at a time.
    """

    name: str
    artefact: str
    counts: Counts
    fps: float


@dataclass(frozen=True)
class GateCheck:
    """One condition of the rule and whether it held."""

    name: str
    passed: bool
    says: str


@dataclass(frozen=True, kw_only=True)
class GateDecision:
    """The verdict with everything it rests on.

    Attributes:
        promoted: every check passed.
        reason: one sentence; names the checks that failed.
        difference: challenger - champion, mIoU points.
        classes: IoU in percent of (champion, challenger) by class; None where the gate frames do
            not show it.
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
        """Everything as plain values; a figure that does not exist is null."""
        table = asdict(self)
        table["difference"] = {
            key: _number(value) for key, value in asdict(self.difference).items()
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
        ValueError: the two were not measured on the same frames.
    """
    difference = paired_bootstrap(
        challenger.counts, champion.counts, draws=limits.draws, block=limits.block
    )
    new, old = challenger.counts.sum(0), champion.counts.sum(0)
    pixels = old.sum(1)
    before, after = iou(old), iou(new)
    checks = (
        _artefact(challenger, champion),
        _mean(difference, limits.max_drop),
        _chance(difference),
        _classes(before, after, pixels, classes, limits.max_class_drop),
        _lost(before, after, pixels, classes),
        _speed(challenger.fps, limits.min_fps),
    )
    failed = [check.says for check in checks if not check.passed]
    gain = f"{miou(old):.1f} -> {miou(new):.1f} mIoU on {len(challenger.counts)} gate frames"
    return GateDecision(
        promoted=not failed,
        reason=f"{gain}; " + ("; ".join(failed) if failed else "every check passed"),
        frames=len(challenger.counts),
        champion=_side(champion),
        challenger=_side(challenger),
        difference=difference,
        classes={name: (_number(b), _number(a)) for name, b, a in zip(classes, before, after)},
        checks=checks,
    )


def _artefact(challenger: GateMeasurement, champion: GateMeasurement) -> GateCheck:
    same = challenger.artefact == champion.artefact or "int8" not in champion.artefact
    says = f"{challenger.artefact} against {champion.artefact}"
    return GateCheck(
        "artefact",
        same,
        says if same else f"the challenger has no {champion.artefact}, which the champion ships",
    )


def _mean(difference: MiouGain, limit: float) -> GateCheck:
    return GateCheck(
        "mean",
        difference.mean >= -limit,
        f"{difference.mean:+.2f} mIoU where at most -{limit:g} is allowed",
    )


def _chance(difference: MiouGain) -> GateCheck:
    interval = f"95 % interval {difference.low:+.2f} to {difference.high:+.2f}"
    passed = difference.high >= 0
    return GateCheck(
        "chance", passed, interval if passed else f"the loss is no accident ({interval})"
    )


def _classes(
    before: Any, after: Any, pixels: Any, names: Sequence[str], limit: float
) -> GateCheck:  # Any: (C,) arrays
    enough = pixels >= max(1, ENOUGH_PIXELS * pixels.sum())
    worse = np.flatnonzero(enough & (before - after > limit))
    drops = [f"{names[int(index)]} {before[index]:.1f} -> {after[index]:.1f}" for index in worse]
    if drops:
        return GateCheck(
            "classes", False, f"more than {limit:g} points of IoU lost in {', '.join(drops)}"
        )
    return GateCheck("classes", True, f"no class loses more than {limit:g} points of IoU")


def _lost(
    before: Any, after: Any, pixels: Any, names: Sequence[str]
) -> GateCheck:  # Any: (C,) arrays
    gone = [
        names[int(index)]
        for index in np.flatnonzero((pixels > 0) & (before >= FOUND) & (after < LOST))
    ]
    return GateCheck(
        "lost",
        not gone,
        f"{', '.join(gone)} is no longer found at all" if gone else "no class is lost",
    )


def _speed(fps: float, least: float) -> GateCheck:
    return GateCheck("speed", fps >= least, f"{fps:.1f} FPS where at least {least:g} is asked")


def _side(side: GateMeasurement) -> dict[str, Any]:  # Any: name, file and figures
    figure = _number(miou(side.counts.sum(0)))
    return {
        "bundle": side.name,
        "artefact": side.artefact,
        "miou": figure,
        "fps": round(side.fps, 2),
    }


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
