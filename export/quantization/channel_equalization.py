"""Channel equalization: the channels of a tensor are brought to a common size, so that the tensor's
one scale fits all of them.

A channel that is ten times smaller than the largest one has a tenth of the integers. Channels can
be enlarged where what they pass through commutes with it (ReLU, additions whose inputs are enlarged
alike, concatenation, pooling, resizing) and made small again by the weights of the next
convolution, which changes nothing in float (Nagel et al., Data-Free Quantization Through Weight
Equalization and Bias Correction, 2019, section 4.1; there for weights, here for activations). ReLU6
commutes as long as no enlarged value reaches 6 that did not before, so channels are only ever
enlarged, and by less than their room.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.onnx_helpers import Constants, Shapes, assemble, attributes_of, copy_node
from edgeseg.export.graph.topology import GraphTopology

STRENGTH = 0.75  # of the enlargement, in logarithms, that would bring all channels to the same size
# of a channel that was small in all calibration frames and may yet be needed; 64 was no better
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
Places = NDArray[np.int64]


def equalize_channels(
    network: AnalyzedNetwork, peaks: Mapping[str, NDArray[np.float32]], strength: float = STRENGTH
) -> AnalyzedNetwork:
    """Return `network` with other weights, which computes the same.

    With strength 1, a tensor whose channels reach 1, 2 and 4 gets the factors 4, 2 and 1; all three
    then reach 4.

    Args:
        peaks: (C,) the largest magnitude in each channel, of each (N, C, H, W) tensor that will be
            quantized.
        strength: 0 changes nothing, 1 fits all channels exactly to what was seen.
    """
    topology, channels = network.topology, _ChannelIndex(network.shapes)
    groups = channels.groups(_tied_channels(topology, channels))
    room = np.full(channels.number, np.inf)  # the logarithm of the largest factor of each group
    for name, peak in peaks.items():
        peak = np.maximum(peak, MIN_PEAK)
        np.minimum.at(room, groups[channels.of(name)], np.log(peak.max() / peak))
    for name in _fixed_tensors(network, channels):
        room[groups[channels.of(name)]] = 0.0
    factors = np.exp(np.minimum(strength * room, np.log(MAX_FACTOR)))[groups]
    constants, nodes = dict(topology.constants), []
    for node in topology.nodes:
        if _is_rescalable(node, topology, channels):
            before = factors[channels.of(node.input[0])]
            after = factors[channels.of(node.output[0])]
            node, rescaled = _rescaled_conv(node, topology.constants, before, after)
            constants |= rescaled
        nodes.append(node)
    return AnalyzedNetwork(assemble(network.model, nodes, constants))


class _ChannelIndex:
    """All channels of all (N, C, H, W) tensors in one long list.

    Tensors of 3 and 8 channels are places 0 to 2 and 3 to 10.

    Attributes:
        number: The number of all of them.
    """

    def __init__(self, shapes: Shapes) -> None:
        self._places: dict[str, Places] = {}
        self.number = 0
        for name, shape in shapes.items():
            if len(shape) == 4:
                self._places[name] = np.arange(self.number, self.number + shape[1])
                self.number += shape[1]

    def of(self, name: str) -> Places:
        """Return the (C,) places of the tensor's channels; none for a tensor that is no image."""
        return self._places.get(name, np.zeros(0, np.int64))

    def groups(self, ties: list[tuple[Places, Places]]) -> Places:
        """Return, for each channel, the first of those that it is tied to.

        They may be tied through others: with 0-3 and 3-4 tied, 0, 3 and 4 all get 0. Each pass
        hands the lowest label on to the neighbors, until nothing changes.
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


def _is_rescalable(node: NodeProto, topology: GraphTopology, channels: _ChannelIndex) -> bool:
    """Return True for a convolution of images with constant weights."""
    return (
        node.op_type == "Conv"
        and all(name in topology.constants for name in node.input[1:] if name)
        and len(channels.of(node.input[0])) > 0
        and len(channels.of(node.output[0])) > 0
    )


def _is_linear(node: NodeProto, topology: GraphTopology, channels: _ChannelIndex) -> bool:
    """Return True if enlarged channels come out of the node enlarged alike.

    It takes and gives images, whose channels meet one by one: none is spread over the others.
    """
    inputs = topology.data_inputs(node)
    without_constants = len(inputs) == len(node.input)
    numbers = [len(channels.of(name)) for name in inputs]
    number = len(channels.of(node.output[0]))
    if node.op_type == "Concat":
        whole = 0 not in numbers and sum(numbers) == number
        return whole and attributes_of(node)["axis"] == 1 and without_constants
    if number == 0 or any(one != number for one in numbers):
        return False
    if node.op_type == "Clip":
        return topology.clips_at_zero(node)
    return node.op_type in LINEAR_OPS and (node.op_type != "Add" or without_constants)


def _tied_channels(topology: GraphTopology, channels: _ChannelIndex) -> list[tuple[Places, Places]]:
    """Return pairs of channels that can only be enlarged together.

    A Concat of tensors with 8 and 16 channels ties the first with places 0 to 7 of its output, and
    the second with places 8 to 23.
    """
    ties = []
    for node in topology.nodes:
        rescalable = _is_rescalable(node, topology, channels)
        if rescalable or not _is_linear(node, topology, channels):
            continue
        outputs = channels.of(node.output[0])
        for name in topology.data_inputs(node):
            inputs = channels.of(name)
            ties.append((inputs, outputs[: len(inputs)]))
            if node.op_type == "Concat":
                outputs = outputs[len(inputs) :]
    return ties


def _fixed_tensors(network: AnalyzedNetwork, channels: _ChannelIndex) -> set[str]:
    """Return the tensors whose channels must stay as they are."""
    graph, topology = network.model.graph, network.topology
    fixed = {value.name for value in (*graph.input, *graph.output)}
    for node in topology.nodes:
        rescalable = _is_rescalable(node, topology, channels)
        if not rescalable and not _is_linear(node, topology, channels):
            fixed |= {*node.input, *node.output}
    return fixed


def _rescaled_conv(
    node: NodeProto, constants: Constants, before: NDArray[np.float64], after: NDArray[np.float64]
) -> tuple[NodeProto, Constants]:
    """Return a convolution for inputs enlarged by `before` that enlarges its outputs by `after`.

    The weight is (O, I / groups, kh, kw): it is multiplied with `after` along O and divided by
    `before` along I. With 4 inputs, 6 outputs and 2 groups, outputs 0 to 2 read inputs 0 and 1, and
    outputs 3 to 5 inputs 2 and 3; `before` is spread to (6, 2) accordingly.

    Returns:
        The node and the constants of its own that it reads.
    """
    weight = constants[node.input[1]].astype(np.float64)
    groups = attributes_of(node).get("group", 1)
    input_factors = before.reshape(groups, -1).repeat(len(weight) // groups, 0)
    weight = weight * after[:, None, None, None] / input_factors[:, :, None, None]
    copy = copy_node(node)
    copy.input[1] = f"{node.name}.weight"
    rescaled = {copy.input[1]: weight.astype(np.float32)}
    if len(node.input) > 2:
        copy.input[2] = f"{node.name}.bias"
        rescaled[copy.input[2]] = (constants[node.input[2]] * after).astype(np.float32)
    return copy, rescaled
