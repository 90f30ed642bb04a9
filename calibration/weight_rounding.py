"""Weights rounded so that a layer's output changes least, not each weight by itself.

Rounding to the nearest integer treats all errors alike, but their sum is what counts: where the
input is smooth or always positive, as behind ReLU6 in front of a depthwise convolution, errors of
one sign add up. Columns are rounded one after another, and the error of each is made good by those
that are still to come, as far as the inputs that calibration saw allow it (Frantar and Alistarh,
Optimal Brain Compression, 2022; Frantar et al., GPTQ, 2023, there for transformers). The bias
stands last in line and takes what remains of the mean, which is bias correction.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgeseg.calibration.histogram import INT8_STEPS
from edgeseg.calibration.weight_pairs import MAX_PAIR, Pairing

MAX_COLUMNS = 1024  # handled together; more are split, since the sums grow with their square
# positions that are multiplied out at once: adding large sums costs more than the products
BATCHED_POSITIONS = 256
DAMPING = 1e-3  # of the mean square of an input, so that unseen combinations of inputs count, too
Floats = NDArray[np.float64]


class GramMatrix:
    """Sums of products of a convolution's inputs (X^T X over the positions that were collected).

    The last input is the constant 1 that the bias is multiplied with.

    Attributes:
        groups: G of the convolution.
        columns: The blocks of columns of the flattened weight that are handled together.
        positions: The number of positions that were summed over.
    """

    def __init__(self, weight_shape: tuple[int, ...], groups: int = 1) -> None:
        """Start with empty sums.

        Args:
            weight_shape: (O, I / groups, kh, kw).
        """
        self.groups = groups
        width = int(np.prod(weight_shape[1:]))
        edges = np.linspace(0, width, -(-width // MAX_COLUMNS) + 1).astype(int)
        self.columns = [slice(low, high) for low, high in pairwise(edges)]
        widths = [block.stop - block.start + 1 for block in self.columns]
        self._sums: list[Floats] = [np.zeros((groups, width, width)) for width in widths]
        self._waiting: list[NDArray[np.float32]] = []
        self.positions = 0

    def collect(self, patches: NDArray[np.float32]) -> None:
        """Add (G, P, K) inputs: those of the K weights of each group, at P positions."""
        self._waiting.append(patches)
        self.positions += patches.shape[1]
        if sum(batch.shape[1] for batch in self._waiting) >= BATCHED_POSITIONS:
            self._add()

    @property
    def sums(self) -> list[Floats]:
        """(G, K + 1, K + 1) sums for each block of K columns; G is 1 without groups."""
        self._add()
        return self._sums

    def _add(self) -> None:
        if not self._waiting:
            return
        patches = np.concatenate(self._waiting, 1)
        self._waiting.clear()
        ones = np.ones((*patches.shape[:2], 1), patches.dtype)
        for block, total in zip(self.columns, self._sums):
            rows = np.concatenate([patches[..., block], ones], 2)
            total += rows.transpose(0, 2, 1) @ rows


def round_weights(
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    scales: NDArray[np.float32],
    gram: GramMatrix,
    ways: Sequence[Pairing] = (),
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantize a convolution's weight and correct its bias accordingly.

    Args:
        weight: (O, I / groups, kh, kw).
        bias: (O,).
        scales: (O,) the step between integers.
        ways: Pairs whose sum is to stay within `MAX_PAIR`. Pairs that lie in two blocks of columns
            may not: see `edgeseg.calibration.weight_pairs.without_overflow`.

    Returns:
        (O, I / groups, kh, kw) integers of -127 to 127, and the (O,) bias.
    """
    groups, outputs = gram.groups, len(weight)
    in_steps = (weight.reshape(outputs, -1) / scales[:, None]).astype(np.float64)
    rows = in_steps.reshape(groups, outputs // groups, -1)
    integers, bias_shift = np.empty(rows.shape), np.zeros(rows.shape[:2])
    for block, total in zip(gram.columns, gram.sums):
        inner = np.arange(block.stop - block.start)
        partners = [partner[block] - block.start for partner in ways]
        integers[..., block], shift = _round_columns(
            rows[..., block],
            total / max(gram.positions, 1),
            [
                np.where((partner >= 0) & (partner < len(inner)), partner, inner)
                for partner in partners
            ],
        )
        bias_shift += shift
    return (
        integers.reshape(weight.shape).astype(np.int8),
        (bias + bias_shift.reshape(-1) * scales).astype(np.float32),
    )


def _round_columns(
    rows: Floats, products: Floats, ways: Sequence[Pairing]
) -> tuple[Floats, Floats]:
    """Round the columns of (G, R, K) rows one after another.

    With H the products, damped, and U the upper Cholesky factor of H^-1 (H^-1 = U^T U), the error
    e of column j is subtracted from every later column k as e * U[j, k] / U[j, j]. For example,
    with two inputs that are always equal (U[0, 1] / U[0, 0] near -1), the row [0.4, 0.4] becomes
    [0, 0.8] after its first column and then [0, 1], whose sum is as close to 0.8 as can be; rounded
    each by itself it would be [0, 0].

    Args:
        rows: Weights in steps.
        products: (G, K + 1, K + 1) the mean products of the inputs.
        ways: (K,) partners, for each way to pair the columns.

    Returns:
        (G, R, K) whole numbers, and (G, R) what is to be added to the bias, in steps.
    """
    width = rows.shape[2]
    squares = np.diagonal(products, axis1=1, axis2=2)[:, :-1]
    # the inputs that matter most first, while most columns are left to make good their errors
    order = np.argsort(-squares, 1, kind="stable")
    order_and_bias = np.concatenate([order, np.full((len(order), 1), width)], 1)
    ordered = np.take_along_axis(
        np.take_along_axis(products, order_and_bias[:, :, None], 1), order_and_bias[:, None, :], 2
    )
    inner = np.arange(width)
    ordered[:, inner, inner] += DAMPING * squares.mean(1, keepdims=True) + 1e-12
    ordered[:, width, width] += 1e-12
    factor = np.linalg.cholesky(np.linalg.inv(ordered)).transpose(0, 2, 1)
    remaining = np.concatenate(
        [np.take_along_axis(rows, order[:, None, :], 2), np.zeros((*rows.shape[:2], 1))], 2
    )
    original_order = np.argsort(order, 1)
    ordered_ways = [
        np.take_along_axis(original_order, np.take(partner, order), 1) for partner in ways
    ]
    integers = np.zeros(rows.shape)
    for column in range(width):
        value = remaining[:, :, column]
        low, high = -float(INT8_STEPS), float(INT8_STEPS)
        for partner in ordered_ways:  # those that are still to come are 0
            other = np.take_along_axis(integers, partner[:, None, column, None], 2)[:, :, 0]
            low = np.maximum(low, -MAX_PAIR - np.minimum(other, 0))
            high = np.minimum(high, MAX_PAIR - np.maximum(other, 0))
        integers[:, :, column] = np.clip(np.rint(value), low, high)
        error = (value - integers[:, :, column]) / factor[:, column, column, None]
        later = factor[:, None, column, column + 1 :]
        remaining[:, :, column + 1 :] -= error[:, :, None] * later
    return np.take_along_axis(integers, original_order[:, None, :], 2), remaining[:, :, width]
