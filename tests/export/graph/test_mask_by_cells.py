"""Masks by cells are those of the highest mixture in whole numbers, however few cells are mixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, helper

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.mask_by_cells import has_cells, mask_by_cells
from edgeseg.export.graph.onnx_helpers import assemble

SCALE, ZERO = 0.25, 128
Codes = NDArray[np.uint8]


def run(codes: Codes, factors: tuple[int, int]) -> Codes:
    """The mask of codes (N, C, h, w) by the graph."""
    batch, classes, height, width = codes.shape
    full = height * factors[0], width * factors[1]
    nodes, constants = mask_by_cells("codes", batch, classes, (height, width), full)
    given, found = (
        helper.make_tensor_value_info(name, TensorProto.UINT8, shape)
        for name, shape in (("codes", codes.shape), ("mask", (batch, *full)))
    )
    dequantize = helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["logits"], "dq")
    constants |= {"scale": np.float32(SCALE), "zero": np.uint8(ZERO)}
    shell = ModelProto(graph=GraphProto(input=[given], output=[found]))
    graph = assemble(shell, [dequantize, *nodes], constants)
    (mask,) = open_session(graph.SerializeToString(), 1).run(None, {"codes": codes})
    return np.asarray(mask, np.uint8)


def upsampled(values: NDArray[Any], axis: int, factor: int) -> NDArray[np.int64]:
    """Values enlarged along an axis by linear interpolation, times 2 * factor, in integers."""
    values = np.moveaxis(values.astype(np.int64), axis, 0)
    double = 2 * np.arange(len(values) * factor) + 1 - factor  # place, in halves of a new pixel
    place, later = np.divmod(double, 2 * factor)
    before, behind = (np.clip(place + step, 0, len(values) - 1) for step in (0, 1))
    later = later.reshape(-1, *[1] * (values.ndim - 1))
    return np.moveaxis((2 * factor - later) * values[before] + later * values[behind], 0, axis)


@pytest.mark.parametrize(
    ("classes", "height", "width", "factors", "batch"),
    [
        (3, 6, 5, (4, 4), 1),
        (11, 4, 7, (8, 8), 2),
        (2, 1, 1, (4, 8), 1),
        (19, 3, 1, (8, 2), 3),
        (256, 2, 3, (8, 8), 1),
    ],
)
@pytest.mark.parametrize("levels", [256, 3])  # with three, ties abound
def test_each_pixel_has_the_class_of_the_highest_mixture(
    classes: int, height: int, width: int, factors: tuple[int, int], batch: int, levels: int
) -> None:
    random = np.random.default_rng(classes)
    codes = random.integers(0, levels, (batch, classes, height, width), np.uint8)
    codes += np.uint8(256 - levels)  # the largest sums are those that a float has to hold
    assert has_cells(classes, (height, width), (height * factors[0], width * factors[1]))
    wanted = upsampled(upsampled(codes, 2, factors[0]), 3, factors[1]).argmax(1)
    np.testing.assert_array_equal(run(codes, factors), wanted)


def test_regions_of_one_class_are_copied() -> None:
    codes = np.zeros((1, 3, 4, 6), np.uint8)
    codes[:, 2] = 9
    assert (run(codes, (4, 4)) == 2).all(), "no cell is mixed"
    codes[:, 1, :, 3:] = 27  # the border runs where 9 is a mixture of 0 and 27, a third of the way
    mask = run(codes, (8, 8))
    assert (mask == mask[0, 0]).all() and mask[0, 0].tolist() == [2] * 23 + [1] * 25


def test_what_is_not_mixed_in_whole_numbers_is_left_to_others() -> None:
    assert has_cells(11, (24, 32), (192, 256)) and has_cells(11, (48, 64), (192, 256))
    for image_size in ((24, 32), (48, 64), (72, 96), (84, 112), (384, 512), (192, 224)):
        assert not has_cells(11, (24, 32), image_size), image_size
    assert not has_cells(257, (24, 32), (192, 256)), "a class is 8 bits"
