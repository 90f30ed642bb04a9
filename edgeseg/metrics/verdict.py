"""What a figure on few frames is worth, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from edgeseg.metrics.intervals import MiouGain, frames_needed

SMALL_GAIN = 2.0  # mIoU points that one would like to see
MOST_NEEDED = 10_000  # frames; more are told as "more than" so many


def format_class_iou(value: float | None, digits: int = 1, split: str = "val") -> str:
    """Return the IoU of a class, or that the frames which judge do not show it (None).

    Such a class is in no mean, and how well it is found stays open.
    """
    return f"not in {split}" if value is None else f"{value:.{digits}f}"


def format_interval(
    metrics: Mapping[str, Any],  # Any: numbers or None
    split: str = "val ",
) -> str:
    """Return the words behind a figure, from `MiouInterval.as_json`; empty for older files.

    For example, "(95 %: 57.1 to 70.2 on 9 val frames)".
    """
    interval = metrics.get("interval") or {}
    low, high, frames = (interval.get(key) for key in ("low", "high", "frames"))
    if low is None or high is None:
        return f"(on {frames} {split}frame, which says little)" if frames == 1 else ""
    return f"(95 %: {low:.1f} to {high:.1f} on {frames} {split}frames)"


def explain_doubt(
    gain: MiouGain, frames: int, first: str, second: str, split: str = "val"
) -> str | None:
    """Say that frames cannot tell two models apart, and how many would; None where they can.

    Args:
        gain: Of the first over the second.
        frames: The number of frames that both were measured on.
        first, second: What the two are called.
        split: Which frames they are.
    """
    if gain.low > 0 or gain.high < 0:
        return None
    if gain.low == gain.high == 0:
        return f"{first} and {second} do the same on the {frames} {split} frames"
    if frames < 2 or math.isnan(gain.low) or gain.low == gain.high:
        return f"{frames} {split} frame cannot tell {first} from {second}; label more"
    needed = f"{_about(frames_needed(gain, frames, SMALL_GAIN))} would tell {SMALL_GAIN:g} points"
    seen = abs(gain.mean)
    if seen >= 0.1 and round(seen, 1) != SMALL_GAIN:
        needed += f" and {_about(frames_needed(gain, frames, seen))} these {seen:.1f}"
    return (
        f"{frames} {split} frames cannot tell {first} from {second}: it lies between "
        f"{gain.low:+.1f} and {gain.high:+.1f} points (95 %); {needed}, four times out of five"
    )


def _about(frames: int) -> str:
    """A number of frames to two digits: 137 is about 140."""
    if frames > MOST_NEEDED:
        return f"more than {MOST_NEEDED}"
    step = 10 ** max(0, len(str(frames)) - 2)
    return f"about {math.ceil(frames / step) * step}"
