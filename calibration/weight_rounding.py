"""Weights rounded so that a layer's output changes least, not each weight by itself.

Rounding to the nearest code treats all errors alike, but their sum is what counts: where the input
is smooth or always positive, as behind ReLU6 in front of a depthwise convolution, errors of one
sign add up. Columns are rounded one after another, and the error of each is made good by those that
are still to come, as far as the inputs that calibration saw allow it (Frantar and Alistarh, Optimal
Brain Compression, 2022; Frantar et al., GPTQ, 2023, there for transformers). The bias stands last
in line and takes what remains of the mean, which is bias correction.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MAX_COLUMNS = (
    1024  # columns handled together; more are split, since the sums grow with their square
)
BATCHED_POSITIONS = (
    256  # positions that are multiplied out at once: adding large sums costs more than the products
)
DAMPING = 1e-3  # of the mean square of an input, so that unseen combinations of inputs count, too
MOST = 127
Floats = NDArray[np.float64]


class GramMatrix:
    """Sums of products of a convolution's inputs, the constant that its bias is multiplied with
    being the last one.

    Attributes:
        columns: of the flattened weight, in blocks that are handled together.
        number: of positions that were summed over.
    """

    def __init__(self, weight_shape: tuple[int, ...], groups: int = 1) -> None:
        """Start from nothing.

        Args:
            weight_shape: (O, I / groups, kh, kw).
        """
        self.groups = groups
        width = int(np.prod(weight_shape[1:]))
        edges = np.linspace(0, width, -(-width // MAX_COLUMNS) + 1).astype(int)
        self.columns = [slice(low, high) for low, high in pairwise(edges)]
        widths = [part.stop - part.start + 1 for part in self.columns]
        self._sums: list[Floats] = [np.zeros((groups, width, width)) for width in widths]
        self._waiting: list[NDArray[np.float32]] = []
        self.positions = 0

    def collect(self, patches: NDArray[np.float32]) -> None:
        """Take in (G, P, K) inputs: what the flattened weight of each group is multiplied with, at
        P positions.
        """
        self._waiting.append(patches)
        self.positions += patches.shape[1]
        if sum(one.shape[1] for one in self._waiting) >= BATCHED_POSITIONS:
            self._add()

    @property
    def sums(self) -> list[Floats]:
        """For each block (G, K, K); G groups of a grouped convolution, else 1."""
        self._add()
        return self._sums

    def _add(self) -> None:
        if not self._waiting:
            return
        patches = np.concatenate(self._waiting, 1)
        self._waiting.clear()
        ones = np.ones((*patches.shape[:2], 1), patches.dtype)
        for part, total in zip(self.columns, self._sums):
            rows = np.concatenate([patches[..., part], ones], 2)
            total += rows.transpose(0, 2, 1) @ rows


def round_weights(
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    scales: NDArray[np.float32],
    gram: GramMatrix,
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes of a convolution's weight, and the bias that goes with them.

    Args:
        weight: (O, I / groups, kh, kw).
        bias: (O,).
        scales: (O,) the step between codes.

    Returns:
        (O, I / groups, kh, kw) codes of -127 to 127, and (O,) bias.
    """
    groups, outputs = gram.groups, len(weight)
    rows = (
        (weight.reshape(outputs, -1) / scales[:, None])
        .astype(np.float64)
        .reshape(groups, outputs // groups, -1)
    )
    codes, extra = np.empty(rows.shape), np.zeros(rows.shape[:2])
    for part, total in zip(gram.columns, gram.sums):
        codes[..., part], shift = _round(rows[..., part], total / max(gram.positions, 1))
        extra += shift
    return (
        codes.reshape(weight.shape).astype(np.int8),
        (bias + extra.reshape(-1) * scales).astype(np.float32),
    )


def _round(rows: Floats, products: Floats) -> tuple[Floats, Floats]:
    """(G, R, K) whole numbers for (G, R, K) rows, and (G, R) what is to be added to the constant."""
    width = rows.shape[2]
    squares = np.diagonal(products, axis1=1, axis2=2)[:, :-1]
    order = np.argsort(
        -squares, 1, kind="stable"
    )  # the inputs that matter most first, while most are left to help
    line = np.concatenate([order, np.full((len(order), 1), width)], 1)
    sorted_ = np.take_along_axis(
        np.take_along_axis(products, line[:, :, None], 1), line[:, None, :], 2
    )
    inner = np.arange(width)
    sorted_[:, inner, inner] += DAMPING * squares.mean(1, keepdims=True) + 1e-12
    sorted_[:, width, width] += 1e-12
    helps = np.linalg.cholesky(np.linalg.inv(sorted_)).transpose(
        0, 2, 1
    )  # row j: how later columns make good column j
    left = np.concatenate(
        [np.take_along_axis(rows, order[:, None, :], 2), np.zeros((*rows.shape[:2], 1))], 2
    )
    codes = np.empty(rows.shape)
    for place in range(width):
        codes[:, :, place] = np.clip(np.rint(left[:, :, place]), -MOST, MOST)
        error = (left[:, :, place] - codes[:, :, place]) / helps[:, place, place, None]
        left[:, :, place + 1 :] -= error[:, :, None] * helps[:, None, place, place + 1 :]
    back = np.argsort(order, 1)
    return np.take_along_axis(codes, back[:, None, :], 2), left[:, :, width]
