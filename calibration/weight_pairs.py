"""Pairs of weights whose products x86 processors without VNNI add in 16 bits.

There, ONNX Runtime multiplies unsigned activations with signed weights two at a time (vpmaddubsw),
and the sum of two products saturates at 32767: 255 * 127 + 255 * 127 becomes half of what it is.
Where the weights of a pair add up to no more than 128, nothing can saturate, whatever the
activations are. Weights of opposite signs never do. So few channels need a wider step for it, and
none one twice as wide, which INT8 weights of 7 bits would have everywhere.

Pairs are neighbors in the order in which the kernel runs through a window: rows, columns, channels.
Depthwise convolutions have a kernel of their own, which adds in 32 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_PAIR = 128  # 255 * 128 is below 2 ** 15, 255 * 129 is not
Pairing = NDArray[np.intp]
Signed = NDArray[Any]  # Any: integers of any width, or floats


def pairings(weight_shape: tuple[int, ...], groups: int, *, shifted: bool = False) -> list[Pairing]:
    """Return the partner of each weight of an output, itself where it has none.

    With three channels and a window of 1 x 2, the kernel runs through channels 0, 1, 2 of the first
    pixel and then of the second. Flattened as the weight lies in the file, channel by channel, that
    is in the order 0, 2, 4, 1, 3, 5, with the pairs (0, 2), (4, 1) and (3, 5).

    Args:
        weight_shape: (O, I / groups, kh, kw).
        shifted: The order may begin one place later, as it does where pixels are put side by side
            (`edgeseg.export.onnxruntime_cpu.stem_widening`): the pairs are also (2, 4) and (1, 3).

    Returns:
        (I / groups * kh * kw,) places of partners, for each way to pair the weights.
    """
    outputs, channels = weight_shape[:2]
    if channels == 1 and groups == outputs:
        return []
    width = int(np.prod(weight_shape[1:]))
    order = np.arange(width).reshape(channels, -1).T.ravel()
    ways = []
    for start in (0, 1) if shifted else (0,):
        partner = np.arange(width)
        first = order[start : width - 1 : 2]
        second = order[start + 1 :: 2]
        partner[first], partner[second] = second, first
        ways.append(partner)
    return ways


def largest_pairs(weight: Signed, ways: list[Pairing]) -> Signed:
    """Return the (O,) largest sums of two partners in (O, ...), by magnitude; 0 without pairs."""
    rows = weight.reshape(len(weight), -1)
    sums = [
        np.abs(rows + rows[:, partner]).max(1, where=partner != np.arange(len(partner)), initial=0)
        for partner in ways
    ]
    return np.asarray(np.max(sums, axis=0) if sums else np.zeros(len(rows)))


def without_overflow(integers: NDArray[np.int8], ways: list[Pairing]) -> NDArray[np.int8]:
    """Return (O, ...) weights with what is too much taken from the larger one of each pair."""
    rows = integers.reshape(len(integers), -1).astype(np.int64)
    for partner in ways:
        first = np.flatnonzero(partner > np.arange(len(partner)))
        second = partner[first]
        total = rows[:, first] + rows[:, second]
        excess = total - np.clip(total, -MAX_PAIR, MAX_PAIR)
        takes_first = np.abs(rows[:, first]) >= np.abs(rows[:, second])
        rows[:, first] -= np.where(takes_first, excess, 0)
        rows[:, second] -= np.where(takes_first, 0, excess)
    return rows.reshape(integers.shape).astype(np.int8)
