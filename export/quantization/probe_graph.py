"""A graph whose inner tensors are sampled while frames run through it.

Only samples leave the graph, so memory grows neither with the number of frames nor with their size.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from edgeseg.calibration.weight_rounding import GramMatrix
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.onnx_helpers import IR_VERSION, OPSET, Constants, Shapes, attributes_of

SAMPLES_PER_FRAME = 16384  # values of a tensor that are sampled
POSITIONS_PER_FRAME = 48  # at which a convolution's inputs are sampled


class ProbeGraph:
    """A model with nodes added behind its inner tensors."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._nodes: list[NodeProto] = []
        self._constants: Constants = {}

    def add(
        self, operator: str, inputs: list[str], output: str, **attributes: Any
    ) -> None:  # Any: ONNX attributes
        """Add a node."""
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def constant(self, name: str, value: NDArray[np.int64]) -> str:
        """Add a constant and return its name."""
        self._constants[name] = value
        return name

    def open(self, outputs: list[str], threads: int) -> Any:  # Any: as `open_session`
        """Return a session that gives just these tensors."""
        graph = self._model.graph
        tensors = [numpy_helper.from_array(value, name) for name, value in self._constants.items()]
        probe = helper.make_graph(
            [*graph.node, *self._nodes],
            "probe",
            graph.input,
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [*graph.initializer, *tensors],
        )
        model = helper.make_model(
            probe, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        return open_session(model.SerializeToString(), threads)


def add_sample(probe: ProbeGraph, name: str, size: int) -> str:
    """Add a flat, regular sample of a tensor of `size` values, and return its name."""
    flat = probe.constant("probe.flat", np.array([-1]))
    start = probe.constant("probe.start", np.array([0]))
    end = probe.constant(f"{name}.end", np.array([size]))
    step = probe.constant(f"{name}.step", np.array([_stride(size)]))
    probe.add("Reshape", [name, flat], f"{name}.flat")
    probe.add("Slice", [f"{name}.flat", start, end, start, step], f"{name}.sample")
    return f"{name}.sample"


def _stride(size: int) -> int:
    """Return a step that gives about SAMPLES_PER_FRAME values.

    It has no factor in common with the size, and so none with its width: no column of an image is
    favored. 1,048,576 values would give a step of 64, which always hits the same columns of an
    image that is 1024 wide; 65 is taken.
    """
    step = max(1, size // SAMPLES_PER_FRAME)
    while math.gcd(step, size) > 1:
        step += 1
    return step


class ConvInputSampler:
    """The inputs that one convolution multiplies its weights with, at some fixed positions.

    Attributes:
        name: The node's.
        gram: The products of the inputs that were collected.
    """

    def __init__(self, node: NodeProto, shapes: Shapes, constants: Constants) -> None:
        self.name, self._source = node.name, node.input[0]
        weight_shape = constants[node.input[1]].shape
        self._channels, height, width = shapes[node.input[0]][1:]
        rows, columns = _input_coordinates(
            node, (weight_shape[2], weight_shape[3]), shapes[node.output[0]][2:]
        )
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        pixel = rows.clip(0, height - 1) * width + columns.clip(0, width - 1)
        self._pixels = pixel.reshape(-1)
        self._inside = inside.reshape(len(inside), -1)
        self.gram = GramMatrix(weight_shape, attributes_of(node).get("group", 1))

    def attach(self, probe: ProbeGraph) -> str:
        """Let a probe give the values at the positions, (C, P * kh * kw); return their name."""
        rows = probe.constant(f"{self.name}.rows", np.array([self._channels, -1]))
        places = probe.constant(f"{self.name}.places", self._pixels.astype(np.int64))
        probe.add("Reshape", [self._source, rows], f"{self.name}.flat")
        probe.add("Gather", [f"{self.name}.flat", places], f"{self.name}.patches", axis=1)
        return f"{self.name}.patches"

    def collect(self, values: NDArray[np.float32]) -> None:
        """Add what one frame gave."""
        groups, (positions, size) = self.gram.groups, self._inside.shape
        patches = values.reshape(groups, -1, positions, size) * self._inside  # padding is zeros
        self.gram.collect(patches.transpose(0, 2, 1, 3).reshape(groups, positions, -1))


def _input_coordinates(
    node: NodeProto, kernel: tuple[int, int], output_size: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows (P, kh, 1) and columns (P, 1, kw) that a convolution reads at P positions.

    They may lie outside of the image, in the padding. For a 3x3 kernel with stride 2 and padding 1,
    the output at (row 4, column 0) reads rows 7, 8, 9 and columns -1, 0, 1.
    """
    attributes = attributes_of(node)
    stride_down, stride_right = attributes.get("strides", (1, 1))
    dilation_down, dilation_right = attributes.get("dilations", (1, 1))
    top, left = attributes.get("pads", (0, 0, 0, 0))[:2]
    height, width = output_size
    random = np.random.default_rng(len(node.name))
    number = min(POSITIONS_PER_FRAME, height * width)
    positions = np.sort(random.choice(height * width, number, replace=False))
    first_row = positions // width * stride_down - top
    first_column = positions % width * stride_right - left
    rows = first_row[:, None, None] + (np.arange(kernel[0]) * dilation_down)[None, :, None]
    columns = first_column[:, None, None] + (np.arange(kernel[1]) * dilation_right)[None, None, :]
    return rows, columns
