"""Channels of a tensor brought to a common size, so that its one scale fits all of them.

A tensor has one scale for all channels, and a channel that is ten times smaller than the largest
one has a tenth of the codes. Channels can be enlarged where what they pass through commutes with it
(ReLU, additions whose inputs are enlarged alike, concatenation, pooling, resizing) and made small
again by the weights of the next convolution, which changes nothing in float (Nagel et al.,
Data-Free Quantization Through Weight Equalization and Bias Correction, 2019, section 4.1; there for
weights, here for activations). ReLU6 commutes as long as no enlarged value reaches 6 that did not
before, so channels are only ever enlarged, and by less than their room.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

from edgeseg.export.graph.lowering import Constants, assemble, attributes_of, static_shapes
from edgeseg.export.graph.qdq_nodes import GraphTopology

STRENGTH = 0.75  # of the enlargement, in logarithms, that would bring all channels to the same size
# factor; a channel that was small in all frames seen may yet be needed, and 64 was no better
MAX_FACTOR = 4.0
MIN_PEAK = 1e-9
LINEAR_OPS = frozenset(
    {
        "Add",
        "AveragePool",
        "Clip",
        "Concat",
        "GlobalAveragePool",
        "LeakyRelu",
        "MaxPool",
        "Relu",
        "Resize",
    }
)


def equalize_channels(
    network: ModelProto, peaks: Mapping[str, NDArray[np.float32]], strength: float = STRENGTH
) -> ModelProto:
    """`network` with other weights, which computes the same.

    Args:
        peaks: (C,) the largest magnitude in each channel, of each (N, C, H, W) tensor that will
            have codes.
        strength: 0 changes nothing, 1 fits all channels exactly to what was seen.
    """
    wiring, channels = GraphTopology(network), _Channels(network)
    groups = channels.groups(_ties(wiring, channels))
    room = np.full(channels.number, np.inf)
    for name, peak in peaks.items():
        peak = np.maximum(peak, MIN_PEAK)
        np.minimum.at(room, groups[channels.of(name)], np.log(peak.max() / peak))
    for name in _fixed(network, wiring):
        room[groups[channels.of(name)]] = 0.0
    factors = np.exp(np.minimum(strength * room, np.log(MAX_FACTOR)))[groups]
    constants, nodes = dict(wiring.constants), []
    for node in wiring.nodes:
        if _is_layer(node, wiring):
            before, after = (factors[channels.of(name)] for name in (node.input[0], node.output[0]))
            node, made = _rescaled(node, wiring.constants, before, after)
            constants |= made
        nodes.append(node)
    return assemble(network, nodes, constants)


class _Channels:
    """All channels of all (N, C, H, W) tensors in one long list.

    Attributes:
        number: of all of them.
    """

    def __init__(self, network: ModelProto) -> None:
        self._places, self.number = {}, 0
        for name, shape in static_shapes(network).items():
            if len(shape) == 4:
                self._places[name] = np.arange(self.number, self.number + shape[1])
                self.number += shape[1]

    def of(self, name: str) -> NDArray[np.int64]:
        """(C,) the places of the tensor's channels; none for a tensor that is no image."""
        return self._places.get(name, np.zeros(0, np.int64))

    def groups(self, ties: list[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> NDArray[np.int64]:
        """(number,) for each channel the first of those that it is tied to, directly or through
        others.
        """
        first = np.concatenate([np.zeros(0, np.int64), *(one for one, _ in ties)])
        second = np.concatenate([np.zeros(0, np.int64), *(other for _, other in ties)])
        labels = np.arange(self.number)
        while True:
            lower = labels.copy()
            np.minimum.at(lower, first, labels[second])
            np.minimum.at(lower, second, labels[first])
            if np.array_equal(lower, labels):
                return labels
            labels = lower


def _is_layer(node: NodeProto, wiring: GraphTopology) -> bool:
    return node.op_type == "Conv" and all(
        name in wiring.constants for name in node.input[1:] if name
    )


def _is_linear(node: NodeProto, wiring: GraphTopology) -> bool:
    """Whether enlarged channels come out of the node enlarged alike."""
    if node.op_type == "Concat":
        return attributes_of(node)["axis"] == 1 and _all_data(node, wiring)
    if node.op_type == "Clip":
        return wiring.clips_at_zero(node)
    return node.op_type in LINEAR_OPS and (node.op_type != "Add" or _all_data(node, wiring))


def _all_data(node: NodeProto, wiring: GraphTopology) -> bool:
    return len(wiring.data_inputs(node)) == len(node.input)


def _ties(
    wiring: GraphTopology, channels: _Channels
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of channels that can only be enlarged together."""
    ties = []
    for node in wiring.nodes:
        if _is_layer(node, wiring) or not _is_linear(node, wiring):
            continue
        given = channels.of(node.output[0])
        for name in wiring.data_inputs(node):
            taken = channels.of(name)
            ties.append((taken, given[: len(taken)]))
            if node.op_type == "Concat":
                given = given[len(taken) :]
    return ties


def _fixed(network: ModelProto, wiring: GraphTopology) -> set[str]:
    """Tensors whose channels must stay as they are."""
    fixed = {value.name for value in (*network.graph.input, *network.graph.output)}
    for node in wiring.nodes:
        if not _is_layer(node, wiring) and not _is_linear(node, wiring):
            fixed |= {*node.input, *node.output}
    return fixed


def _rescaled(
    node: NodeProto, constants: Constants, before: NDArray[np.float64], after: NDArray[np.float64]
) -> tuple[NodeProto, Constants]:
    """The convolution for inputs enlarged by `before`, its outputs enlarged by `after`, and
    constants of its own.
    """
    weight = constants[node.input[1]].astype(np.float64)
    groups = attributes_of(node).get("group", 1)
    taken = before.reshape(groups, -1).repeat(len(weight) // groups, 0)
    weight = weight * after[:, None, None, None] / taken[:, :, None, None]
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[1] = f"{node.name}.weight"
    made = {copy.input[1]: weight.astype(np.float32)}
    if len(node.input) > 2:
        copy.input[2] = f"{node.name}.bias"
        made[copy.input[2]] = (constants[node.input[2]] * after).astype(np.float32)
    return copy, made
