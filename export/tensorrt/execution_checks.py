"""Points 11 and 12 of the TensorRT checklist: what ONNX Runtime makes of the two INT8 files on this
machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from edgeseg.bundle.golden_frames import GoldenFrames
from edgeseg.bundle.graph_metadata import FLOAT_CONVOLUTIONS_KEY
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.onnxruntime_cpu.kernel_report import inspect_kernels as kernels_of
from edgeseg.export.tensorrt.graph_checks import GraphView, attribute_value, describe_node
from edgeseg.export.tensorrt.qdq_checks import DQ, Q, convolutions, is_quantized, listed_names

CLOSE = 1e-4  # of a layer's largest output: FP32 sums of a few thousand products differ by less
ROWS = 16  # of a layer's output that are simulated
# more Q/DQ nodes than there are floats to convert: a Mul by a temperature of 1 gives way to its two
# readers
SPARE = 1
ON_CODES = frozenset(
    {
        "Add",
        "AveragePool",
        "Concat",
        "Conv",
        "GlobalAveragePool",
        "LeakyRelu",
        "MaxPool",
        "Mul",
        "Reshape",
        "Sigmoid",
        "Slice",
        "Split",
        "Transpose",
    }
)  # ONNX Runtime computes these on codes where codes go in and come out
Array = NDArray[Any]  # Any: codes as float64, values as float32


def check_execution(view: GraphView, golden: GoldenFrames, least: float) -> list[str]:
    """11: layers give what integers would, and the masks are those of model.onnx.

    Args:
        least: percent of the golden pixels whose class must be as in FP32.
    """
    layers = _picked(view)
    wanted = [name for node in layers for name in (_before(view, node.input[0]), node.output[0])]
    copy = ModelProto()
    copy.CopyFrom(view.model)
    extra = [name for name in dict.fromkeys(wanted) if name not in view.outputs]
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in extra)
    session = open_session(copy.SerializeToString(), plain=True)
    names = list(dict.fromkeys(wanted))
    given = dict(zip(names, session.run(names, {"image": golden.frames[:1]})))
    found = []
    for node in layers:
        ours, theirs = _simulate(view, node, given), given[node.output[0]][:, :, :ROWS]
        error = float(np.max(np.abs(ours - theirs))) / max(float(np.max(np.abs(ours))), 1e-12)
        if not error <= CLOSE:
            found.append(
                f"{describe_node(node)} differs from integers by {100 * error:.2g} % of its largest output"
            )
    same = golden.agreement(lambda frame: session.run(["mask"], {"image": frame})[0][0])
    if not same >= least:
        found.append(
            f"{same:.2f} % of the golden pixels have the class that FP32 gave them, less than {least:.2f} %"
        )
    return found


def _picked(view: GraphView) -> list[NodeProto]:
    """The first convolution of each kind: the graph's first, depthwise, pointwise, and any other."""
    found: dict[str, NodeProto] = {}
    whole = [
        node for node in convolutions(view) if node.op_type == "Conv" and is_quantized(view, node)
    ]
    for node in (
        node for node in whole if _before(view, node.input[0]) and _before(view, node.input[1])
    ):
        weight = view.constants.get(_before(view, node.input[1]))
        if weight is None or weight.ndim != 4:
            continue
        depthwise, pointwise = attribute_value(node, "group", 1) > 1, weight.shape[2:] == (1, 1)
        kind = (
            "first"
            if not found
            else "depthwise"
            if depthwise
            else "pointwise"
            if pointwise
            else "other"
        )
        found.setdefault(kind, node)
    return list(found.values())


def _before(view: GraphView, name: str) -> str:
    """The tensor in front of a Q/DQ pair; empty if there is none."""
    back = view.givers.get(name)
    there = view.givers.get(back.input[0]) if back is not None and back.op_type == DQ else None
    return there.input[0] if there is not None and there.op_type == Q else ""


def _codes(view: GraphView, name: str, values: Array) -> tuple[Array, Array]:
    """Codes of a tensor as the Q in front of `name` makes them, and their scale."""
    scale = view.constants[view.givers[view.givers[name].input[0]].input[1]]
    sides = (-1, 1, 1, 1) if scale.ndim else ()
    codes = np.rint(np.asarray(values, np.float32) / scale.reshape(sides)).clip(-128, 127)
    return codes.astype(np.float64), scale.astype(np.float64)


def _simulate(view: GraphView, node: NodeProto, given: dict[str, Array]) -> Array:
    """The first rows of what integer arithmetic makes of a convolution's input, (N, O, rows,
    width).
    """
    data, step = _codes(view, node.input[0], given[_before(view, node.input[0])])
    weight, steps = _codes(view, node.input[1], view.constants[_before(view, node.input[1])])
    top, left, bottom, right = attribute_value(node, "pads", [0, 0, 0, 0])
    padded = np.pad(data, ((0, 0), (0, 0), (top, bottom), (left, right)))
    (down, across), (high, wide) = (
        attribute_value(node, "strides", [1, 1]),
        attribute_value(node, "dilations", [1, 1]),
    )
    rows, columns = high * (weight.shape[2] - 1) + 1, wide * (weight.shape[3] - 1) + 1
    padded = padded[:, :, : (ROWS - 1) * down + rows]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), axis=(2, 3))
    patches = windows[:, :, ::down, ::across, ::high, ::wide]
    groups = attribute_value(node, "group", 1)
    number, _, height, width = patches.shape[:4]
    parts = np.moveaxis(
        patches.reshape(number, groups, -1, *patches.shape[2:]), 2, 4
    )  # (N, G, h, w, I/G, kh, kw)
    flat = parts.reshape(number, groups, height * width, -1)
    sums = np.einsum(
        "ngpk,gok->ngop", flat, weight.reshape(groups, len(weight) // groups, -1), optimize=True
    )
    bias = (
        view.constants[node.input[2]]
        if len(node.input) > 2 and node.input[2]
        else np.zeros(len(weight))
    )
    found = sums.reshape(number, len(weight), height, width) * (steps * step).reshape(-1, 1, 1)
    return np.asarray(found + bias.reshape(-1, 1, 1))


def check_cpu_kernels(data: bytes, source: GraphView) -> list[str]:
    """12: ONNX Runtime runs all but the stated convolutions of the CPU file on codes, and turns few
    tensors to and fro.

    Args:
        data: model.int8-cpu.onnx.
        source: model.onnx.
    """
    view, found = GraphView(data), []
    kernels = kernels_of(data)
    floats = listed_names(view, FLOAT_CONVOLUTIONS_KEY) or []
    wanted = len(convolutions(source)) - len(floats)
    if kernels.quantized != wanted:
        found.append(
            f"ONNX Runtime runs {kernels.quantized} convolutions of the CPU file on codes instead of {wanted}"
        )
    most = conversions(view) + SPARE
    if kernels.conversions > most:
        found.append(
            f"ONNX Runtime leaves {kernels.conversions} Q/DQ nodes in the CPU file, more than {most}"
        )
    return found


def conversions(view: GraphView) -> int:
    """How many Q and DQ nodes a CPU file needs: where codes are made from floats, and at each
    reader of floats.
    """
    inside = {node.output[0] for node in view.nodes if _on_codes(view, node)}
    made = sum(node.op_type == Q and node.input[0] not in inside for node in view.nodes)
    unmade = sum(
        reader.output[0] not in inside
        for node in view.nodes
        if node.op_type == DQ and view.kind(node.input[0]) == Q
        for reader in view.takers[node.output[0]]
    )
    return int(made + unmade)


def _on_codes(view: GraphView, node: NodeProto) -> bool:
    if node.op_type not in ON_CODES:
        return False
    readers = [reader for name in node.output for reader in view.takers[name]]
    return all(view.kind(name) == DQ for name in view.data(node)) and all(
        one.op_type == Q for one in readers
    )
