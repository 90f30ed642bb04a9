"""The mask of INT8 logits: bilinear upsampling and ArgMax where classes meet, copies elsewhere.

Between the centers of four logits, `down` x `right` pixels of the mask lie: a cell. Each of its
pixels is a mixture of the four, and where one class is the highest at all four it is so in every
mixture. Only the other cells, a fifth of them in a street scene, are upsampled.

That is exact, where upsampling in floating point breaks ties as rounding has it. Logits are
integers of 8 bits. Shares of a mixture are whole numbers of sixty-fourths (stride 4) or 256ths
(stride 8), so a mixture is an integer of 16 bits. Behind it, in 8 bits more, stands the class, and
a float still holds the 24 bits exactly. The highest mixture then carries its class with it, and of
equal ones the first class is taken, as ArgMax does.

The number of such cells is known only when the graph runs, which TensorRT refuses, and other
engines than ONNX Runtime may round products of matrices to fewer bits: this is for the CPU file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from edgeseg.export.graph.logit_upsampling import POSTPROCESSING, Size
from edgeseg.export.graph.onnx_helpers import Constants

CLASS_VALUES = 256  # the integers that a mixture leaves to the class
# Of codes of 8 bits with shares of 4 * pixels, and of the class: 8 + 8 + 8 bits, as a float has.
MOST_PIXELS = 64
FEWEST_PIXELS = 16  # in smaller cells all are upsampled in less time than those that need it
CORNERS = {"here": (0, 0), "right": (0, 1), "below": (1, 0), "across": (1, 1)}


def has_cells(classes: int, logits_size: Size, image_size: Size) -> bool:
    """Return True if `mask_by_cells` can enlarge logits of a size to masks of a size.

    The factors must be even: else the center of a logit is that of a pixel too.
    """
    down, right = (full // side for full, side in zip(image_size, logits_size))
    is_whole = image_size == (logits_size[0] * down, logits_size[1] * right)
    is_even = down % 2 == 0 and right % 2 == 0
    return (
        is_whole
        and is_even
        and FEWEST_PIXELS <= down * right <= MOST_PIXELS
        and classes <= CLASS_VALUES
    )


def mask_by_cells(
    codes: str, batch: int, classes: int, logits_size: Size, image_size: Size
) -> tuple[list[NodeProto], Constants]:
    """Turn logits (N, C, h, w) and the uint8 integers that they stand for into `mask`.

    The outermost cells lie around the outermost logits, which are repeated for them. Half of what
    they hold lies outside of the image. With N = 1, C = 3, h = 2, w = 4 and factors (4, 4), and k
    cells in which classes meet:

        classes  (1, 2, 4)           of each logit
        bordered (1, 4, 6)           with those around it
        meeting  (1, 3, 5)           whether the four corners of a cell differ
        places   (3, k)              batch, row and column of the cells in which they do
        table    (25, 3)             the 24 codes with those around, and a row of class ids
        corners  (5, k, 3)           the four of each cell, and the ids
        mixed    (16, 3, k)          (16, 5) times (5, 3 k): minus the mixtures, plus the ids
        lowest   (16, k)             the least of 3
        cells    (1, 3, 5, 16)       all, those of one class copied, and the others put in
        mask     (1, 8, 16)          cut from (1, 12, 20)

    Args:
        codes: The tensor of integers, channels first as the logits are.
    """
    (height, width), (down, right) = (
        logits_size,
        (image_size[0] // logits_size[0], image_size[1] // logits_size[1]),
    )
    pixels, pitch = down * right, width + 2
    bordered = (height + 2) * pitch
    p = POSTPROCESSING
    nodes = [
        _node("Transpose", "last_codes", [codes], perm=[0, 2, 3, 1]),
        *_bordered(f"{p}last_codes", "codes"),
        _node("Reshape", "rows_of_codes", [f"{p}codes_bordered", f"{p}rows_shape"]),
        _node("Concat", "table", [f"{p}rows_of_codes", f"{p}ids_row"], axis=0),
        _node("Transpose", "last", ["logits"], perm=[0, 2, 3, 1]),
        _node("ArgMax", "classes", [f"{p}last"], axis=3, keepdims=0),
        *_bordered(f"{p}classes", "classes"),
        *_meeting_cells(),
        # the four logits of each of them
        _node("MatMul", "first_corner", [f"{p}pitches", f"{p}places"]),
        _node("Mul", "first_corners", [f"{p}first_corner", f"{p}is_corner"]),
        _node("Add", "corner_rows", [f"{p}first_corners", f"{p}corner_offsets"]),
        _node("Gather", "corners", [f"{p}table", f"{p}corner_rows"], axis=0),
        # their mixtures, and the highest
        _node("Transpose", "corners_by_class", [f"{p}corners"], perm=[0, 2, 1]),
        _node("Cast", "corner_values", [f"{p}corners_by_class"], to=TensorProto.FLOAT),
        _node("Reshape", "corner_lines", [f"{p}corner_values", f"{p}lines_shape"]),
        _node("MatMul", "mixtures", [f"{p}share_of_corner", f"{p}corner_lines"]),
        _node("Reshape", "mixed", [f"{p}mixtures", f"{p}mixed_shape"]),
        _node("ReduceMin", "lowest", [f"{p}mixed"], axes=[1], keepdims=0),
        # its last 8 bits are the class: conversions between integers keep the lowest bits
        _node("Cast", "lowest_integer", [f"{p}lowest"], to=TensorProto.INT32),
        _node("Cast", "class_of_pixel", [f"{p}lowest_integer"], to=TensorProto.UINT8),
        _node("Transpose", "mixed_cells", [f"{p}class_of_pixel"], perm=[1, 0]),
        # into the cells that are of one class
        _node("Gather", "even_cells", [f"{p}copies", f"{p}first_class"], axis=0),
        _node("Transpose", "place_of_cell", [f"{p}places"], perm=[1, 0]),
        _node("ScatterND", "cells", [f"{p}even_cells", f"{p}place_of_cell", f"{p}mixed_cells"]),
        # from cells to rows
        _node("Reshape", "blocks", [f"{p}cells", f"{p}blocks_shape"]),
        _node("Transpose", "woven", [f"{p}blocks"], perm=[0, 1, 3, 2, 4]),
        _node("Reshape", "with_border", [f"{p}woven", f"{p}with_border_shape"]),
    ]
    window = [f"{p}{name}" for name in ("inside_starts", "inside_ends", "axes")]
    nodes.append(
        helper.make_node("Slice", [f"{p}with_border", *window], ["mask"], f"{p}cut_border")
    )
    constants: Constants = {
        "border_rows": _with_neighbors(height),
        "border_columns": _with_neighbors(width),
        "rows_shape": np.array([batch * bordered, classes], np.int64),
        "ids_row": np.arange(classes, dtype=np.uint8)[None],
        **_corner_windows(height, width),
        "pitches": np.array([[bordered, pitch, 1]], np.int64),
        "is_corner": np.array([1, 1, 1, 1, 0], np.int64)[:, None],
        "corner_offsets": np.array([0, 1, pitch, pitch + 1, batch * bordered], np.int64)[:, None],
        "lines_shape": np.array([5, -1], np.int64),
        "share_of_corner": _shares(down, right),
        "mixed_shape": np.array([pixels, classes, -1], np.int64),
        "copies": np.arange(classes, dtype=np.uint8)[:, None].repeat(pixels, 1),
        "blocks_shape": np.array([batch, height + 1, width + 1, down, right], np.int64),
        "with_border_shape": np.array([batch, (height + 1) * down, (width + 1) * right], np.int64),
        "inside_starts": np.array([down // 2, right // 2], np.int64),
        "inside_ends": np.array([down // 2 + image_size[0], right // 2 + image_size[1]], np.int64),
        "axes": np.array([1, 2], np.int64),
    }
    return nodes, {f"{p}{name}": value for name, value in constants.items()}


def _bordered(source: str, name: str) -> list[NodeProto]:
    """Repeat the outermost rows and columns of (N, h, w, ...)."""
    p = POSTPROCESSING
    return [
        _node("Gather", f"{name}_high", [source, f"{p}border_rows"], axis=1),
        _node("Gather", f"{name}_bordered", [f"{p}{name}_high", f"{p}border_columns"], axis=2),
    ]


def _meeting_cells() -> list[NodeProto]:
    """Find the cells whose corners are of several classes, and a class of each cell."""
    p = POSTPROCESSING
    corners = [f"{p}class_{corner}" for corner in CORNERS]
    return [
        _node("Cast", "class_numbers", [f"{p}classes_bordered"], to=TensorProto.INT32),
        *(
            _node(
                "Slice",
                f"class_{corner}",
                [f"{p}class_numbers", f"{p}{corner}_starts", f"{p}{corner}_ends", f"{p}axes"],
            )
            for corner in CORNERS
        ),
        _node("Min", "first_class", corners),
        _node("Max", "last_class", corners),
        _node("Greater", "meeting", [f"{p}last_class", f"{p}first_class"]),
        _node("NonZero", "places", [f"{p}meeting"]),
    ]


def _corner_windows(height: int, width: int) -> dict[str, NDArray[np.int64]]:
    """Return where in (h + 2, w + 2) logits the corners of the (h + 1, w + 1) cells lie."""
    windows = {}
    for corner, (row, column) in CORNERS.items():
        windows[f"{corner}_starts"] = np.array([row, column], np.int64)
        windows[f"{corner}_ends"] = np.array([row + height + 1, column + width + 1], np.int64)
    return windows


def _with_neighbors(number: int) -> NDArray[np.int64]:
    """Return all places with the first and the last repeated: of 3 they are [0, 0, 1, 2, 2]."""
    return np.clip(np.arange(-1, number + 1), 0, number - 1)


def _shares(down: int, right: int) -> NDArray[np.float32]:
    """Return (down * right, 5): minus what each pixel of a cell takes of its corners, and 1.

    Of two neighbors, the pixels between them take 7/8 and 1/8, 5/8 and 3/8, ... for a factor of 4;
    as whole numbers, 7 and 1. In a cell of 4 x 4, the first pixel takes 49 of the first corner, 7
    of the two beside it and 1 of the last. The last column is that of the class.
    """
    rows, columns = (
        np.stack([2 * factor - later, later], axis=1)
        for factor in (down, right)
        for later in [2 * np.arange(factor) + 1]
    )
    shares = np.einsum("ia,jb->ijab", rows, columns).reshape(down * right, 4)
    whole = np.concatenate([-CLASS_VALUES * shares, np.ones((len(shares), 1))], axis=1)
    return np.asarray(whole, np.float32)


def _node(
    operator: str, output: str, inputs: list[str], **attributes: Any
) -> NodeProto:  # Any: what ONNX knows as an attribute
    """Return a node that is called as its output, with the prefix."""
    name = f"{POSTPROCESSING}{output}"
    return helper.make_node(operator, inputs, [name], name, **attributes)
