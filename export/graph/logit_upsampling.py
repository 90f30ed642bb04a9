"""Upsampling of the logits to the size of the image, bilinear with half-pixel centers.

Resize does it for channels-first logits. With the channels last, as INT8 convolutions of ONNX
Runtime leave them, two products of matrices do it in less time than ONNX Runtime's Resize.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from edgeseg.export.graph.onnx_helpers import Constants

POSTPROCESSING = "after."  # how the names of all nodes and tensors behind the network begin
TIE = 1e-3  # a difference of logits that is none
Size = tuple[int, int]


def resize_node(source: str) -> NodeProto:
    """Return a Resize by the constant scales, `after.scales`."""
    return helper.make_node(
        "Resize",
        [source, "", f"{POSTPROCESSING}scales"],
        [f"{POSTPROCESSING}upsampled"],
        f"{POSTPROCESSING}resize",
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )


def upsample_channels_last(
    batch: int, classes: int, logits_size: Size, image_size: Size
) -> tuple[list[NodeProto], Constants]:
    """Turn logits (N, C, h, w) into (N, H, W, C).

    Three ways, by size:

    * Logits as large as the image are only reordered, and made uneven: see `_break_ties`.
    * Enlarged by whole factors, they are multiplied with two matrices: see `_upsample_by_matmul`.
    * By other factors, or with many classes for few new columns, where the zeros in the matrix
      would cost more than it saves, they are resized.
    """
    (height, width), (full_height, full_width) = logits_size, image_size
    down, right = full_height // height, full_width // width
    channels_last = _node("Transpose", "transpose", ["logits"], "last", perm=[0, 2, 3, 1])
    if image_size == logits_size:
        nodes, constants = _break_ties(width, classes)
    elif image_size != (height * down, width * right) or classes > 3 * right:
        scales = np.array([1, full_height / height, full_width / width, 1], np.float32)
        nodes, constants = (
            [resize_node(f"{POSTPROCESSING}last")],
            {f"{POSTPROCESSING}scales": scales},
        )
    else:
        nodes, constants = _upsample_by_matmul(batch, classes, logits_size, (down, right))
    return [channels_last, *nodes], constants


def _break_ties(width: int, classes: int) -> tuple[list[NodeProto], Constants]:
    """Let every other column prefer the last of equal classes instead of the first.

    INT8 logits take few values, so the two highest are often equal, and ArgMax takes the first: a
    class late in the list lost 15 % of its area. With 3 classes, what is added to the logits of a
    pixel is [0, -0.0005, -0.001] in even columns and [0, 0.0005, 0.001] in odd ones.
    """
    sign_of_column = np.resize([-1, 1], width)[:, None]
    uneven = sign_of_column * np.linspace(0, TIE, classes)
    constants: Constants = {f"{POSTPROCESSING}uneven": uneven.astype(np.float32)[None, None]}
    return [
        _node("Add", "untie", [f"{POSTPROCESSING}last", f"{POSTPROCESSING}uneven"], "untied")
    ], constants


def _upsample_by_matmul(
    batch: int, classes: int, logits_size: Size, factors: Size
) -> tuple[list[NodeProto], Constants]:
    """Enlarge (N, h, w, C) logits by whole factors (down, right) with two products of matrices.

    Each new pixel is one of a few fixed mixtures of a pixel and its two neighbors (`_mixtures`), in
    rows as in columns. For columns, a pixel and its neighbors stand side by side as 3 C values, and
    a matrix of (3 C, right * C) makes `right` pixels of C channels of them. It mixes channels too,
    with zeros. For rows, whole lines are the values: (down, 3) times (3, W * C).

    With N = 1, h = 2, w = 3, C = 2 and factors (4, 2), so that H = 8 and W = 6:

        last       (1, 2, 3, 2)      the logits
        three      (1, 2, 3, 3, 2)   each pixel with its left and right neighbor
        triple     (1, 2, 3, 6)
        wide       (1, 2, 3, 4)      times (6, 4): 2 new pixels of 2 channels
        lines      (1, 2, 12)        each row as a line of W * C values
        stacked    (1, 2, 3, 12)     each line with those above and below
        high       (1, 2, 4, 12)     (4, 3) times (3, 12): 4 new rows
        upsampled  (1, 8, 6, 2)
    """
    (height, width), (down, right) = logits_size, factors
    full_height, full_width = height * down, width * right
    p = POSTPROCESSING
    nodes = [
        _node("Gather", "beside", [f"{p}last", f"{p}columns"], "three", axis=2),
        _node("Reshape", "join", [f"{p}three", f"{p}joined"], "triple"),
        _node("MatMul", "widen", [f"{p}triple", f"{p}across"], "wide"),
        _node("Reshape", "flatten", [f"{p}wide", f"{p}line"], "lines"),
        _node("Gather", "above", [f"{p}lines", f"{p}rows"], "stacked", axis=1),
        _node("MatMul", "heighten", [f"{p}down", f"{p}stacked"], "high"),
        _node("Reshape", "unflatten", [f"{p}high", f"{p}full"], "upsampled"),
    ]
    # kron gives (right * C, 3 * C): each entry of the mixtures times an identity over the channels
    across = np.kron(_mixtures(right), np.eye(classes)).T
    return nodes, {
        f"{p}columns": _neighbors(width),
        f"{p}joined": np.array([batch, height, width, 3 * classes], np.int64),
        f"{p}across": across.astype(np.float32),
        f"{p}line": np.array([batch, height, full_width * classes], np.int64),
        f"{p}rows": _neighbors(height),
        f"{p}down": _mixtures(down),
        f"{p}full": np.array([batch, full_height, full_width, classes], np.int64),
    }


def _neighbors(number: int) -> NDArray[np.int64]:
    """Return (number, 3): each place with the one before and the one behind it.

    The ends are their own neighbors: for 4 places
    [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]].
    """
    return np.clip(np.arange(number)[:, None] + [-1, 0, 1], 0, number - 1)


def _mixtures(factor: int) -> NDArray[np.float32]:
    """Return (factor, 3): what each new pixel takes of the pixel before, itself, and behind.

    For a factor of 2 the centers of the new pixels lie 1/4 of a pixel before and behind the old
    one's, so the mixtures are [[0.25, 0.75, 0], [0, 0.75, 0.25]].
    """
    offset = (np.arange(factor) + 0.5) / factor - 0.5  # from the center of the old pixel, in pixels
    before, itself, behind = np.maximum(-offset, 0), 1 - abs(offset), np.maximum(offset, 0)
    return np.stack([before, itself, behind], axis=1).astype(np.float32)


def _node(
    operator: str, name: str, inputs: list[str], output: str, **attributes: Any
) -> NodeProto:  # Any: what ONNX knows as an attribute
    """Return a node whose name and output get the prefix."""
    return helper.make_node(
        operator, inputs, [f"{POSTPROCESSING}{output}"], f"{POSTPROCESSING}{name}", **attributes
    )
