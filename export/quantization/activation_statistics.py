"""What calibration frames make of the float network's tensors, seen in one pass through ONNX
Runtime.

Only samples leave the graph: a regular one of each tensor for its histogram, and for each
convolution the inputs at some fixed positions. So memory grows neither with the number of frames
nor with their size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.calibration.frame_selection import FrameStatistics
from edgeseg.calibration.observers import Histogram
from edgeseg.calibration.weight_rounding import GramMatrix
from edgeseg.errors import ExportError
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.lowering import (
    IR_VERSION,
    OPSET,
    Constants,
    Shapes,
    attributes_of,
    infer_shapes,
    static_shapes,
)
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.qdq_nodes import GraphTopology, quantizable_convs
from edgeseg.progress import NullReporter, ProgressReporter

SAMPLES_PER_FRAME = 16384  # values of a tensor looked at in each frame
POSITIONS_PER_FRAME = 48  # at which a convolution's inputs are looked at in each frame
Images = Iterable[NDArray[np.uint8]]


@dataclass(frozen=True)
class ActivationStatistics:
    """What is remembered.

    Attributes:
        histograms: of the tensors that may get codes.
        grams: of the convolutions, by node.
    """

    histograms: dict[str, Histogram]
    grams: dict[str, GramMatrix]


def quantizable_tensors(network: ModelProto) -> list[str]:
    """The tensors that may get codes: the network's input and what its nodes give, where that is
    not absorbed.
    """
    absorbed = GraphTopology(network).absorbed_tensors()
    shaped = infer_shapes(network).graph
    values = (*shaped.input, *shaped.value_info, *shaped.output)
    floats = {
        value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    given = [
        name
        for node in network.graph.node
        for name in node.output
        if name in floats and name not in absorbed
    ]
    return [*(value.name for value in network.graph.input), *given]


def channel_peaks(
    network: ModelProto,
    interface: Interface,
    images: Images,
    *,
    threads: int = 0,
    report: ProgressReporter | None = None,
) -> dict[str, NDArray[np.float32]]:
    """(C,) the largest magnitude in each channel, of each (N, C, H, W) tensor that may get codes."""
    shapes = static_shapes(network)
    names = [name for name in quantizable_tensors(network) if len(shapes[name]) == 4]
    probe, positive = (
        _Probe(wrap_network(network, interface)),
        set(GraphTopology(network).absorbed_tensors().values()),
    )
    for name in names:
        if name not in positive:
            probe.add("Abs", [name], f"{name}.magnitude")
        source = name if name in positive else f"{name}.magnitude"
        probe.add("ReduceMax", [source], f"{name}.peak", axes=[0, 2, 3], keepdims=0)
    session = probe.open([f"{name}.peak" for name in names], threads)
    peaks = {name: np.zeros(shapes[name][1], np.float32) for name in names}
    for image in images:
        for name, peak in zip(names, session.run(None, {"image": image[None]})):
            peaks[name] = np.maximum(peaks[name], peak)
        if report is not None:
            report.advance()
    return peaks


def collect_statistics(
    network: ModelProto,
    interface: Interface,
    images: Images,
    *,
    threads: int = 0,
    report: ProgressReporter | None = None,
) -> ActivationStatistics:
    """Run frames through the network.

    Args:
        images: (H, W, 3) uint8 RGB each, at the graph's size.

    Raises:
        ExportError: there is no frame, or the network overflows on one.
    """
    report = report or NullReporter()
    names = quantizable_tensors(network)
    probe, shapes, constants = (
        _Probe(wrap_network(network, interface)),
        static_shapes(network),
        GraphTopology(network).constants,
    )
    patches = [_Patches(node, shapes, constants) for node in quantizable_convs(network).values()]
    for name in names:
        _sample(probe, name, math.prod(shapes[name]))
    for one in patches:
        one.attach(probe)
    session = probe.open(
        [*(f"{name}.sample" for name in names), *(f"{one.name}.patches" for one in patches)],
        threads,
    )
    histograms = {name: Histogram() for name in names}
    for image in images:
        found = session.run(None, {"image": image[None]})
        for (name, histogram), values in zip(histograms.items(), found):
            try:
                histogram.collect(values)
            except ValueError:
                raise ExportError(
                    f"the network overflows in {name} on a calibration frame; train it again"
                ) from None
        for one, values in zip(patches, found[len(names) :]):
            one.collect(values)
        report.advance()
    if not any(histogram.total for histogram in histograms.values()):
        raise ExportError(
            "no frame was given to calibrate with; add footage with `edgeseg add footage PATH`"
        )
    return ActivationStatistics(histograms, {one.name: one.gram for one in patches})


def frame_statistics(
    network: ModelProto,
    interface: Interface,
    images: Images,
    *,
    threads: int = 0,
    report: ProgressReporter | None = None,
) -> FrameStatistics:
    """What the float model makes of frames: the encoder's last map averaged, areas of classes,
    scores.
    """
    report = report or NullReporter()
    wiring, shapes = GraphTopology(network), static_shapes(network)
    maps = [
        name
        for name in quantizable_tensors(network)
        if name in wiring.producers and len(shapes[name]) == 4
    ]
    deepest = [name for name in maps if _layer_behind(wiring, name).startswith("encoder.")] or maps
    probe = _Probe(wrap_network(network, interface))
    probe.add("GlobalAveragePool", [deepest[-1]], "probe.features")
    session = probe.open(["probe.features", "area", "score"], threads)
    found = []
    for image in images:
        features, area, score = session.run(None, {"image": image[None]})
        found.append((features.reshape(-1), area[0], score[0]))
        report.advance()
    return FrameStatistics(*(np.stack(part) for part in zip(*found)))


def _layer_behind(wiring: GraphTopology, name: str) -> str:
    """The name of the convolution that the tensor comes from, activations and additions passed
    over.
    """
    giver = wiring.producers.get(name)
    while giver is not None and giver.op_type != "Conv":
        giver = wiring.producers.get(giver.input[0])
    return giver.name if giver is not None else ""


class _Probe:
    """A graph whose inner tensors are looked at."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._nodes: list[NodeProto] = []
        self._constants: Constants = {}

    def add(
        self, operator: str, inputs: list[str], output: str, **attributes: Any
    ) -> None:  # Any: ONNX attributes
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def constant(self, name: str, value: NDArray[np.int64]) -> str:
        self._constants[name] = value
        return name

    def open(self, outputs: list[str], threads: int) -> Any:  # Any: as `open_session`
        """A session that gives just these tensors."""
        graph = self._model.graph
        tensors = [numpy_helper.from_array(value, name) for name, value in self._constants.items()]
        made = helper.make_graph(
            [*graph.node, *self._nodes],
            "probe",
            graph.input,
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [*graph.initializer, *tensors],
        )
        model = helper.make_model(
            made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        return open_session(model.SerializeToString(), threads)


def _sample(probe: _Probe, name: str, size: int) -> None:
    """Give a flat, regular sample of a tensor."""
    flat, start = (
        probe.constant(f"probe.{key}", np.array([value]))
        for key, value in (("flat", -1), ("start", 0))
    )
    end, step = (
        probe.constant(f"{name}.{key}", np.array([value]))
        for key, value in (("end", size), ("step", _stride(size)))
    )
    probe.add("Reshape", [name, flat], f"{name}.flat")
    probe.add("Slice", [f"{name}.flat", start, end, start, step], f"{name}.sample")


def _stride(size: int) -> int:
    """A step that gives about SAMPLES values and has no factor in common with the size, so no
    column is favored.
    """
    step = max(1, size // SAMPLES_PER_FRAME)
    while math.gcd(step, size) > 1:
        step += 1
    return step


class _Patches:
    """The inputs that one convolution multiplies its weights with, at fixed positions.

    Attributes:
        name: of the node.
        gram: what was collected.
    """

    def __init__(self, node: NodeProto, shapes: Shapes, constants: Constants) -> None:
        attributes = attributes_of(node)
        (self._channels, height, width), weight = (
            shapes[node.input[0]][1:],
            constants[node.input[1]].shape,
        )
        down, right = attributes.get("strides", (1, 1))
        spread = attributes.get("dilations", (1, 1))
        top, left = attributes.get("pads", (0, 0, 0, 0))[:2]
        rows, columns = shapes[node.output[0]][2:]
        random = np.random.default_rng(len(node.name))
        chosen = np.sort(
            random.choice(rows * columns, min(POSITIONS_PER_FRAME, rows * columns), replace=False)
        )
        y = (chosen // columns * down - top)[:, None, None] + (np.arange(weight[2]) * spread[0])[
            None, :, None
        ]
        x = (chosen % columns * right - left)[:, None, None] + (np.arange(weight[3]) * spread[1])[
            None, None, :
        ]
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        self._indices = (y.clip(0, height - 1) * width + x.clip(0, width - 1)).reshape(-1)
        self._inside = inside.reshape(len(chosen), -1)
        self.name, self._source = node.name, node.input[0]
        self.gram = GramMatrix(weight, attributes.get("group", 1))

    def attach(self, probe: _Probe) -> None:
        """Give the values at the positions: (C, P * kh * kw)."""
        rows = probe.constant(f"{self.name}.rows", np.array([self._channels, -1]))
        places = probe.constant(f"{self.name}.places", self._indices.astype(np.int64))
        probe.add("Reshape", [self._source, rows], f"{self.name}.flat")
        probe.add("Gather", [f"{self.name}.flat", places], f"{self.name}.patches", axis=1)

    def collect(self, values: NDArray[np.float32]) -> None:
        """Take in what one frame gave."""
        groups, (positions, size) = self.gram.groups, self._inside.shape
        patches = values.reshape(groups, -1, positions, size) * self._inside  # padding is zeros
        self.gram.collect(patches.transpose(0, 2, 1, 3).reshape(groups, positions, -1))
