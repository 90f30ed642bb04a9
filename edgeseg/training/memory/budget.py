"""The memory budget of a training step, and the split of a batch that keeps to it.

Knows no torch, since the command line reads --max-memory with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from edgeseg.errors import ConfigError, TrainError

SMALLEST_PART = 2  # frames at a time; batch norm cannot do with one
SAFETY_FACTOR = 1.1  # on a measured peak; a GPU's memory has gaps
UNITS = {
    "": 1,
    "k": 1000,
    "m": 1000**2,
    "g": 1000**3,
    "t": 1000**4,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "ti": 1 << 40,
}


class AccumulationPlan(NamedTuple):
    """The split of a batch into `parts` of `part_size` frames, whose gradients are added up."""

    part_size: int
    parts: int


def parse_bytes(text: str) -> int:
    """Return "6GB", "512 MiB", "1.5g" or "6000000000" as bytes.

    Raises:
        ConfigError: it is no amount of memory.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", text, re.IGNORECASE)
    unit = UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None or float(match[1]) == 0:
        raise ConfigError(
            f"max_memory {text!r} is no amount of memory; write it like 6GB or 512MiB"
        )
    return int(float(match[1]) * unit)


def plan_accumulation(
    measure: Callable[[int], int], batch: int, budget: int, other_batches: Sequence[int] = ()
) -> AccumulationPlan:
    """Choose the fewest parts of equal size whose step fits, judged from the two smallest sizes.

    The peak grows linearly with the frames of a part. With a batch of 16 and peaks of 3 GB for 2
    frames and 4 GB for 4, a frame takes 0.5 GB, so that 8 frames take 6 GB and 16 take 10 GB; a
    budget of 7 GB (6.6 GB with the safety factor) then allows 2 parts of 8.

    Args:
        measure: Gives the peak bytes of a step with so many of the `batch` frames, and the same
            share of the other batches; may raise MemoryError.
        batch: Frames of a step.
        budget: Bytes that a step may take.
        other_batches: Batch sizes that are split into as many parts, such as that of unlabelled
            frames.

    Raises:
        TrainError: not even the smallest part fits.
    """
    part_counts = possible_parts(batch, other_batches)
    part_sizes = [batch // count for count in part_counts]  # from small to large
    peaks: list[int] = []
    try:
        for size in part_sizes[:2]:
            peaks.append(measure(size))
    except MemoryError:
        part_sizes = part_sizes[: max(1, len(peaks))]  # what is larger fails too

    fitting = [
        size
        for size in part_sizes
        if peaks and predicted_peak(part_sizes, peaks, size) * SAFETY_FACTOR <= budget
    ]
    if fitting:
        return AccumulationPlan(fitting[-1], batch // fitting[-1])
    batches = " + ".join(map(str, (batch, *other_batches)))
    needs = "is more than the device has"
    if peaks:
        needs = f"needs {peaks[0] * SAFETY_FACTOR / 1e9:.2f} GB"
    raise TrainError(
        f"the smallest part that a batch of {batches} splits into, {part_sizes[0]} frames, {needs} "
        f"but max_memory is {budget / 1e9:.2f} GB; raise it, take another batch, "
        "a smaller imgsz or encoder"
    )


def possible_parts(batch: int, other_batches: Sequence[int] = ()) -> list[int]:
    """Return the numbers of parts that a batch splits into, the most first.

    Args:
        batch: Frames of a step.
        other_batches: Batch sizes that are split into as many parts.
    """
    return [
        count
        for count in range(batch // SMALLEST_PART, 0, -1)
        if all(size % count == 0 for size in (batch, *other_batches))
    ]


def predicted_peak(sizes: Sequence[int], peaks: Sequence[int], size: int) -> float:
    """Return the bytes of a step with `size` frames, by the line through two measured peaks.

    Args:
        sizes: Frames of the measured steps first, from small to large; others may follow.
        peaks: Bytes of the one or two smallest; of one alone the peak stays as it is.
        size: Frames of a step.
    """
    per_frame = 0.0
    if len(peaks) > 1:
        per_frame = max(0.0, (peaks[1] - peaks[0]) / (sizes[1] - sizes[0]))
    return peaks[0] + per_frame * (size - sizes[0])
