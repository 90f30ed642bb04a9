"""Points 6 to 10 of the TensorRT checklist: whether Q/DQ nodes lead TensorRT to INT8 kernels.

Where Q/DQ nodes belong is told in `edgeseg.export.tensorrt.qdq_placement`; here the finished file
is looked at, whoever made it.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import NodeProto

from edgeseg.bundle.graph_metadata import FLOAT_CONVOLUTIONS_KEY, FLOAT_TENSORS_KEY
from edgeseg.calibration.histogram import INT8_STEPS
from edgeseg.export.graph.graph_view import (
    CHANNEL_AXIS,
    DQ,
    GraphView,
    Q,
    attribute_value,
    describe_node,
)

ACTIVATIONS = frozenset(
    """
    Clip HardSigmoid HardSwish LeakyRelu PRelu Relu Sigmoid Tanh
    """.split()  # noqa: SIM905  # one a line would take a screen
)
MIN_COVERAGE = 0.95  # of the multiply-adds of all convolutions


def check_qdq_parameters(view: GraphView) -> list[str]:
    """Point 6: scales and zero points are signed, symmetric, and per tensor or channel.

    Every parser refuses a zero point other than 0, a scale that is not above 0, and scales of
    another number than channels. The newest takes no zero point at all, one UINT8 0 (a warning says
    that the codes become INT8, so those above 127 are lost), scales that are infinite or for each
    channel of an activation, and one scale for a whole weight. These stay faults: no kernel is made
    for them, or other numbers come out.
    """
    findings = []
    for node in view.nodes:
        if node.op_type not in (Q, DQ):
            continue
        name = describe_node(node)
        if len(node.input) != 3:
            findings.append(f"{name} has {len(node.input)} inputs instead of 3")
            continue
        scale, zero = (view.constants.get(parameter) for parameter in node.input[1:])
        if scale is None or zero is None:
            findings.append(f"{name} has a scale or zero point that is no constant")
            continue
        if zero.dtype != np.int8 or np.any(zero):
            findings.append(f"{name} has a zero point that is not INT8 and 0")
        if zero.size != scale.size:
            findings.append(f"{name} has {scale.size} scales but {zero.size} zero points")
        if scale.dtype != np.float32 or not np.all(np.isfinite(scale)) or not np.all(scale > 0):
            findings.append(f"{name} has a scale that is not FP32, finite and above 0")
        findings += _scale_count_findings(view, node, scale.shape)
    return findings


def _scale_count_findings(view: GraphView, node: NodeProto, scales: tuple[int, ...]) -> list[str]:
    """Return what is wrong with the number of scales of a Q or DQ node."""
    source, name = _quantized_tensor(view, node), describe_node(node)
    if source not in view.constants:
        if math.prod(scales) == 1:
            return []
        return [f"{name} has {math.prod(scales)} scales for an activation"]
    shape = view.constants[source].shape
    for axis in _channel_axes_of_readers(view, node):
        is_along_axis = len(scales) == 1 and attribute_value(node, "axis", 1) == axis
        if not is_along_axis or scales[0] != shape[axis]:
            return [
                f"{name} has {math.prod(scales)} scales for the {shape[axis]} channels of axis "
                f"{axis} of {source}"
            ]
    return []


def _channel_axes_of_readers(view: GraphView, node: NodeProto) -> set[int]:
    """Return the output-channel axes of the convolutions that read a weight's Q or DQ node."""
    readers: list[NodeProto] = []
    for name in node.output:
        for reader in view.consumers[name]:
            readers += view.consumers[reader.output[0]] if reader.op_type == DQ else [reader]
    return {CHANNEL_AXIS[reader.op_type] for reader in readers if reader.op_type in CHANNEL_AXIS}


def _quantized_tensor(view: GraphView, node: NodeProto) -> str:
    """Return the float tensor that a Q or DQ node belongs to."""
    pair = view.qdq_pair(node.output[0]) if node.op_type == DQ else None
    return str(pair[0].input[0] if pair is not None else node.input[0])


def check_qdq_pairs(view: GraphView) -> list[str]:
    """Point 7: DQ nodes of the same scale read each Q, and no DQ makes an output or a bias.

    The newest parser lets codes go through other nodes, or out of the graph, and takes a DQ of
    another scale. Nothing is fused then, and where scales differ the numbers are others.
    """
    findings = []
    for node in view.nodes:
        if node.op_type == Q:
            findings += _quantize_findings(view, node)
        elif node.op_type == DQ:
            findings += _dequantize_findings(view, node)
        else:
            findings += [
                f"{describe_node(node)} reads the codes {name}, which TensorRT gives to a "
                "DequantizeLinear alone"
                for name in node.input
                if name in view.constants and view.constants[name].dtype == np.int8
            ]
    return findings


def _quantize_findings(view: GraphView, node: NodeProto) -> list[str]:
    findings, name = [], describe_node(node)
    readers = view.consumers[node.output[0]]
    if not readers or node.output[0] in view.outputs:
        findings.append(f"{name} gives codes that no DequantizeLinear takes")
    findings += [
        f"{name} feeds {describe_node(reader)} with codes"
        for reader in readers
        if reader.op_type != DQ
    ]
    if view.producer_type(node.input[0]) in (Q, DQ):
        producer = describe_node(view.producers[node.input[0]])
        findings.append(f"{name} makes codes of what {producer} has just given")
    return findings


def _dequantize_findings(view: GraphView, node: NodeProto) -> list[str]:
    findings, name = [], describe_node(node)
    pair = view.qdq_pair(node.output[0])
    if pair is not None and not _have_same_parameters(view, *pair):
        findings.append(f"{name} has another scale or zero point than {describe_node(pair[0])}")
    if node.output[0] in view.outputs:
        findings.append(f"{name} gives the output {node.output[0]}")
    return findings + [
        f"{name} gives the bias of {describe_node(convolution)}"
        for convolution in view.convolutions()
        if len(convolution.input) > 2 and convolution.input[2] == node.output[0]
    ]


def _have_same_parameters(view: GraphView, quantize: NodeProto, dequantize: NodeProto) -> bool:
    first = [view.constants.get(name) for name in quantize.input[1:]]
    second = [view.constants.get(name) for name in dequantize.input[1:]]
    return len(first) == len(second) and all(
        a is not None and b is not None and np.array_equal(a, b) for a, b in zip(first, second)
    )


def check_convolutions(view: GraphView) -> list[str]:
    """Point 8: an INT8 convolution has INT8 data, and FP32 constants as weights and bias.

    The weights stand in front of their Q and DQ nodes. A parser wants data, weights and bias of one
    type and no more; the rest is asked because a convolution in float, or one whose weights are cut
    off at 127 steps, is built without a word. Weights that are stored as codes are read by the
    parsers of 10 and later, not by those of 8.
    """
    findings = []
    for node in filter(view.is_quantized, view.convolutions()):
        name = describe_node(node)
        if view.producer_type(node.input[0]) != DQ:
            findings.append(
                f"{name} has INT8 weights, but its data does not come out of a DequantizeLinear"
            )
        pair = view.qdq_pair(node.input[1])
        weight = view.constants.get(pair[0].input[0]) if pair is not None else None
        if pair is None or weight is None or weight.dtype != np.float32:
            findings.append(f"{name} has weights that are not FP32 with a Q and a DQ behind them")
        else:
            axis = CHANNEL_AXIS[node.op_type]
            findings += [f"{name} {fault}" for fault in _overflow_findings(view, pair[0], axis)]
        bias = node.input[2] if len(node.input) > 2 else ""
        if bias and (bias not in view.constants or view.constants[bias].dtype != np.float32):
            findings.append(f"{name} has a bias that is no FP32 constant")
    return findings


def _overflow_findings(view: GraphView, quantize: NodeProto, axis: int) -> list[str]:
    weight, scale = view.constants[quantize.input[0]], view.constants.get(quantize.input[1])
    if scale is None or scale.size not in (1, weight.shape[axis]):
        return []  # point 6 reports it
    sides = [1] * weight.ndim
    sides[axis] = scale.size
    with np.errstate(divide="ignore", invalid="ignore"):
        most = float(np.max(np.abs(np.rint(weight / scale.reshape(sides)))))
    if most <= INT8_STEPS:
        return []
    return [f"has weights of {most:.0f} steps, more than {INT8_STEPS}"]


def check_fusions(view: GraphView) -> list[str]:
    """Point 9: no Q/DQ nodes stand where they would keep TensorRT from fusing layers.

    None in front of an activation, one quantized input at each residual Add, and at each Concat
    all inputs or none. No parser or builder says a word about any of it: the engine is made, with
    more kernels and more traffic between them.
    """
    findings = []
    float_tensors = set(view.listed_names(FLOAT_TENSORS_KEY) or [])
    for node in view.nodes:
        if node.op_type in ACTIVATIONS:
            convolution = _convolution_behind_pair(view, node.input[0])
            if convolution is not None:
                findings.append(
                    f"Q/DQ nodes stand between {describe_node(convolution)} and its activation "
                    f"{describe_node(node)}"
                )
        elif node.op_type == "Add" and len(view.data_inputs(node)) == 2:
            findings += _residual_findings(view, node, float_tensors)
        elif node.op_type == "Concat":
            findings += _concat_findings(view, node, float_tensors)
    return findings


def _convolution_behind_pair(view: GraphView, name: str) -> NodeProto | None:
    """Return the INT8 convolution whose output goes into this Q/DQ pair and nowhere else."""
    pair = view.qdq_pair(name)
    if pair is None:
        return None
    convolution = view.producers.get(pair[0].input[0])
    if convolution is None or convolution.op_type not in CHANNEL_AXIS:
        return None
    chain = (convolution, *pair)
    has_one_reader_each = all(len(view.consumers[node.output[0]]) == 1 for node in chain)
    return convolution if has_one_reader_each and view.is_quantized(convolution) else None


def _residual_findings(view: GraphView, node: NodeProto, float_tensors: set[str]) -> list[str]:
    """Check a residual Add: TensorRT fuses it with the convolution whose output it reads bare."""
    inputs, name = view.data_inputs(node), describe_node(node)
    bare = [tensor for tensor in inputs if view.producer_type(tensor) != DQ]
    fused = [
        view.producers[tensor]
        for tensor in bare
        if view.producer_type(tensor) in CHANNEL_AXIS
        and view.is_quantized(view.producers[tensor])
        and len(view.consumers[tensor]) == 1
    ]
    behind_pairs = [_convolution_behind_pair(view, tensor) for tensor in inputs]
    separated = [convolution for convolution in behind_pairs if convolution is not None]
    if fused and len(bare) == 2:
        others = [tensor for tensor in bare if tensor not in fused[0].output]
        if not float_tensors.intersection(others):
            return [f"{name} adds {others[0]} without Q/DQ to what {describe_node(fused[0])} gives"]
    elif separated and not fused:
        return [
            f"Q/DQ nodes stand between {describe_node(separated[0])} and {name}, so they are no "
            "single kernel"
        ]
    return []


def _concat_findings(view: GraphView, node: NodeProto, float_tensors: set[str]) -> list[str]:
    """Check a Concat: in INT8 all its inputs and its output have one scale."""
    inputs, name = view.data_inputs(node), describe_node(node)
    dequantized = [view.producers[tensor] for tensor in inputs if view.producer_type(tensor) == DQ]
    if not dequantized:
        return []
    if len(dequantized) < len(inputs):
        bare = next(tensor for tensor in inputs if view.producer_type(tensor) != DQ)
        return [f"{name} joins codes with {bare}, which has none"]
    quantized = [reader for reader in view.consumers[node.output[0]] if reader.op_type == Q]
    scales = [view.constants.get(qdq.input[1]) for qdq in (*dequantized, *quantized)]
    first = scales[0]
    if first is None or any(scale is None or not np.array_equal(scale, first) for scale in scales):
        return [f"{name} joins codes of different scales, or gives others"]
    if not quantized and node.output[0] not in float_tensors:
        return [f"{name} joins codes, but what it gives has none"]
    return []


def check_coverage(view: GraphView, source: GraphView) -> list[str]:
    """Point 10: the float convolutions are those listed in the metadata.

    Where none are listed, they are a small share of the multiply-adds. TensorRT builds a float
    convolution wherever it finds one, and is only slower.

    Args:
        source: The graph of model.onnx.
    """
    names = {node.name for node in view.convolutions()}
    findings = [
        f"{describe_node(node)} of model.onnx is missing"
        for node in source.convolutions()
        if node.name not in names
    ]
    listed = view.listed_names(FLOAT_CONVOLUTIONS_KEY)
    if listed is None:
        share = int8_share(view)
        if share < MIN_COVERAGE:
            findings.append(
                f"{100 * share:.1f} % of the multiply-adds are in INT8, less than "
                f"{100 * MIN_COVERAGE:.0f} %"
            )
        return findings
    in_float = {node.name for node in view.convolutions() if not view.is_quantized(node)}
    findings += [
        f"the convolution {name} is float, and the metadata do not say so"
        for name in sorted(in_float - set(listed))
    ]
    return findings + [
        f"the metadata call {name} a float convolution, but it is none"
        for name in sorted(set(listed) - in_float)
    ]


def int8_share(view: GraphView) -> float:
    """Return the share of the convolutions' multiply-adds that is meant to run in INT8."""
    total = in_int8 = 0
    for node in view.convolutions():
        number = _multiply_adds(view, node)
        total += number
        in_int8 += number if view.is_quantized(node) else 0
    return in_int8 / max(1, total)


def _multiply_adds(view: GraphView, node: NodeProto) -> int:
    """Return the multiply-adds of one convolution; 0 if its shapes are not known.

    A 3x3 convolution from 16 to 32 channels (weight 32x16x3x3) with an output of 1x32x10x10 has
    1 * 10 * 10 places with 32 * 16 * 3 * 3 = 4608 multiply-adds each.
    """
    weight = view.shape(node.input[1]) or np.shape(view.constants.get(node.input[1], ()))
    if len(weight) != 4:
        return 0
    places = view.shape(node.output[0] if node.op_type == "Conv" else node.input[0])
    return math.prod(places[:1] + places[2:]) * math.prod(weight)
