"""Point 11 of the TensorRT checklist: the file computes what integer arithmetic would.

ONNX Runtime runs it on this machine with every node as it stands, Q/DQ in floating point. That says
nothing about the kernels of TensorRT, but finds scales and biases that do not belong together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from edgeseg.bundle.golden_frames import GoldenFrames
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.graph_view import GraphView, attribute_value, describe_node

# of a layer's largest output: FP32 sums of a few thousand products differ by less
TOLERANCE = 1e-4
SIMULATED_ROWS = 16  # of a layer's output
Array = NDArray[Any]  # Any: quantized values as float64, others as float32


def check_execution(view: GraphView, golden: GoldenFrames, least: float) -> list[str]:
    """Check that layers give what integers would, and golden frames the masks of model.onnx.

    Args:
        least: Percent of the golden pixels whose class must be as in FP32.
    """
    layers = _layers_to_simulate(view)
    names: list[str] = []
    for node in layers:
        names += [_unquantized(view, node.input[0]), node.output[0]]
    names = list(dict.fromkeys(names))
    session = open_session(_with_outputs(view, names), plain=True)
    tensors = dict(zip(names, session.run(names, {"image": golden.frames[:1]})))
    findings = []
    for node in layers:
        simulated = _simulate(view, node, tensors)
        computed = tensors[node.output[0]][:, :, :SIMULATED_ROWS]
        largest = max(float(np.max(np.abs(simulated))), 1e-12)
        error = float(np.max(np.abs(simulated - computed))) / largest
        if not error <= TOLERANCE:
            findings.append(
                f"{describe_node(node)} differs from integers by {100 * error:.2g} % of its "
                "largest output"
            )
    agreement = golden.agreement(lambda frame: session.run(["mask"], {"image": frame})[0][0])
    if not agreement >= least:
        findings.append(
            f"{agreement:.2f} % of the golden pixels have the class that FP32 gave them, less "
            f"than {least:.2f} %"
        )
    return findings


def _with_outputs(view: GraphView, names: list[str]) -> bytes:
    """Return the graph with further tensors as outputs."""
    copy = ModelProto()
    copy.CopyFrom(view.model)
    further = [name for name in names if name not in view.outputs]
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in further)
    return bytes(copy.SerializeToString())


def _layers_to_simulate(view: GraphView) -> list[NodeProto]:
    """Return the first convolution of each kind: the graph's first, depthwise, pointwise, other."""
    chosen: dict[str, NodeProto] = {}
    for node in view.convolutions():
        if node.op_type != "Conv" or not view.is_quantized(node):
            continue
        if not _unquantized(view, node.input[0]) or not _unquantized(view, node.input[1]):
            continue
        weight = view.constants.get(_unquantized(view, node.input[1]))
        if weight is None or weight.ndim != 4:
            continue
        if not chosen:
            kind = "first"
        elif attribute_value(node, "group", 1) > 1:
            kind = "depthwise"
        elif weight.shape[2:] == (1, 1):
            kind = "pointwise"
        else:
            kind = "other"
        chosen.setdefault(kind, node)
    return list(chosen.values())


def _unquantized(view: GraphView, name: str) -> str:
    """Return the tensor in front of the Q/DQ pair that `name` comes out of; empty without one."""
    pair = view.qdq_pair(name)
    return pair[0].input[0] if pair is not None else ""


def _quantize(view: GraphView, name: str, values: Array) -> tuple[Array, Array]:
    """Return a tensor's whole numbers, as the Q in front of `name` makes them, and their scale."""
    pair = view.qdq_pair(name)
    assert pair is not None, f"{name} comes out of no Q/DQ pair"
    scale = view.constants[pair[0].input[1]]
    sides = (-1, 1, 1, 1) if scale.ndim else ()
    numbers = np.rint(np.asarray(values, np.float32) / scale.reshape(sides)).clip(-128, 127)
    return numbers.astype(np.float64), scale.astype(np.float64)


def _simulate(view: GraphView, node: NodeProto, tensors: dict[str, Array]) -> Array:
    """Return the first rows of a convolution's output in integer arithmetic, (N, O, rows, width).

    A 3x3 kernel with dilation 2 spans 2 * (3 - 1) + 1 = 5 rows of the input. With stride 2 the
    first 16 rows of the output need the (16 - 1) * 2 + 5 = 35 first rows of the padded input.
    """
    data_name, weight_name = node.input[:2]
    data, data_scale = _quantize(view, data_name, tensors[_unquantized(view, data_name)])
    weight, weight_scales = _quantize(
        view, weight_name, view.constants[_unquantized(view, weight_name)]
    )
    top, left, bottom, right = attribute_value(node, "pads", [0, 0, 0, 0])
    stride_y, stride_x = attribute_value(node, "strides", [1, 1])
    dilation_y, dilation_x = attribute_value(node, "dilations", [1, 1])
    groups = attribute_value(node, "group", 1)

    padded = np.pad(data, ((0, 0), (0, 0), (top, bottom), (left, right)))
    span_y = dilation_y * (weight.shape[2] - 1) + 1
    span_x = dilation_x * (weight.shape[3] - 1) + 1
    padded = padded[:, :, : (SIMULATED_ROWS - 1) * stride_y + span_y]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (span_y, span_x), axis=(2, 3))
    patches = windows[:, :, ::stride_y, ::stride_x, ::dilation_y, ::dilation_x]

    # N frames, G groups, I input and O output channels, h rows and w columns of the output
    frames, _, rows, columns = patches.shape[:4]
    grouped = patches.reshape(frames, groups, -1, *patches.shape[2:])  # (N, G, I/G, h, w, kh, kw)
    flat = np.moveaxis(grouped, 2, 4).reshape(frames, groups, rows * columns, -1)
    weight_rows = weight.reshape(groups, len(weight) // groups, -1)  # (G, O/G, I/G * kh * kw)
    sums = np.einsum("ngpk,gok->ngop", flat, weight_rows, optimize=True)
    has_bias = len(node.input) > 2 and node.input[2]
    bias = view.constants[node.input[2]] if has_bias else np.zeros(len(weight))
    scales = (weight_scales * data_scale).reshape(-1, 1, 1)
    outputs = sums.reshape(frames, len(weight), rows, columns) * scales
    return np.asarray(outputs + bias.reshape(-1, 1, 1))
