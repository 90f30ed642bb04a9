"""Rounding with the inputs in mind: never worse than rounding to the nearest, and unbiased."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.calibration import weight_rounding as rounding
from edgeseg.calibration.weight_rounding import GramMatrix, round_weights

Array = NDArray[np.float32]
SHAPES = {
    "1x1": ((12, 20, 1, 1), 1),
    "3x3": ((6, 5, 3, 3), 1),
    "depthwise": ((16, 1, 3, 3), 16),
    "groups": ((8, 4, 1, 1), 2),
}


def inputs(groups: int, width: int, number: int = 400, seed: int = 0) -> Array:
    """(G, P, K): correlated and not around 0, as behind ReLU6."""
    random = np.random.default_rng(seed)
    mixed = random.normal(0, 1, (groups, number, 4)) @ random.normal(0, 1, (groups, 4, width))
    return np.clip(mixed + 2 + 0.3 * random.normal(0, 1, mixed.shape), 0, 6).astype(np.float32)


def outputs(weight: Array, bias: Array, patches: Array) -> NDArray[np.float64]:
    """(G, P, O / G)."""
    groups = len(patches)
    rows = weight.reshape(groups, len(weight) // groups, -1).astype(np.float64)
    return np.asarray(patches @ rows.transpose(0, 2, 1) + bias.reshape(groups, 1, -1), np.float64)


@pytest.mark.parametrize("kind", SHAPES)
def test_outputs_change_less_than_by_rounding_to_the_nearest(kind: str) -> None:
    shape, groups = SHAPES[kind]
    random = np.random.default_rng(1)
    weight, bias = (
        random.normal(0, 0.2, shape).astype(np.float32),
        random.normal(0, 1, shape[0]).astype(np.float32),
    )
    patches = inputs(groups, int(np.prod(shape[1:])))
    gram = GramMatrix(shape, groups)
    for part in np.array_split(patches, 4, axis=1):
        gram.collect(part)
    scales = (np.abs(weight.reshape(len(weight), -1)).max(1) / 20).astype(
        np.float32
    )  # coarse, so that it shows
    integers, shifted = round_weights(weight, bias, scales, gram)
    assert (
        integers.dtype == np.int8
        and integers.shape == shape
        and np.abs(integers.astype(int)).max() <= 127
    )
    steps = scales[:, None, None, None]
    wanted = outputs(weight, bias, patches)
    ours = outputs(integers * steps, shifted, patches) - wanted
    nearest = outputs(np.rint(weight / steps) * steps, bias, patches) - wanted
    assert np.mean(ours**2) < 0.5 * np.mean(nearest**2)
    assert (
        np.abs(ours.mean(1)).max() < 0.1 * np.abs(nearest.mean(1)).max()
    )  # the bias takes up what is left


def test_weights_that_lie_on_codes_stay_and_so_does_the_bias() -> None:
    integers = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    scales, bias = np.array([0.5, 1, 2, 4], np.float32), np.arange(4, dtype=np.float32)
    gram = GramMatrix(integers.shape)
    gram.collect(inputs(1, 27))
    found, shifted = round_weights(integers * scales[:, None, None, None], bias, scales, gram)
    np.testing.assert_array_equal(found, integers)
    np.testing.assert_allclose(shifted, bias, atol=1e-5)


def test_inputs_that_were_always_zero_or_never_seen_do_no_harm() -> None:
    weight = np.random.default_rng(0).normal(0, 1, (3, 4, 1, 1)).astype(np.float32)
    scales = np.full(3, 0.05, np.float32)
    for patches in (np.zeros((1, 50, 4), np.float32), np.zeros((1, 0, 4), np.float32)):
        gram = GramMatrix(weight.shape)
        gram.collect(patches)
        integers, bias = round_weights(weight, np.zeros(3, np.float32), scales, gram)
        assert np.abs(integers * 0.05 - weight).max() < 0.3 and np.isfinite(bias).all()


def test_wide_layers_are_split_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "MAX_COLUMNS", 16)
    weight = np.random.default_rng(0).normal(0, 1, (5, 40, 1, 1)).astype(np.float32)
    gram = GramMatrix(weight.shape)
    assert [part.stop - part.start for part in gram.columns] == [13, 13, 14]
    patches = inputs(1, 40)
    gram.collect(patches)
    scales = np.full(5, 0.1, np.float32)
    integers, bias = round_weights(weight, np.zeros(5, np.float32), scales, gram)
    steps = scales[:, None, None, None]
    wanted = outputs(weight, np.zeros(5, np.float32), patches)
    ours = outputs(integers * steps, bias, patches) - wanted
    nearest = outputs(np.rint(weight / steps) * steps, np.zeros(5, np.float32), patches) - wanted
    assert np.mean(ours**2) < 0.5 * np.mean(nearest**2)
