"""Faults planted in INT8 files, for tests of the TensorRT checklist."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from edgeseg.config import ExportConfig
from edgeseg.export.tensorrt.checklist import CheckedFiles, run_checklist, run_static_checks

CONFIG = ExportConfig(
    int8=True,
    half=True,
    max_drop=100,
    max_class_drop=100,
    min_speedup=0,
    calibration_frames=2,
    threads=1,
)
needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="TensorRT for RTX is not installed: pip install -e '.[tensorrt-rtx]'",
)
EXECUTION_POINTS = (11, 12)  # they run a file
Plant = Callable[[ModelProto], None]


def findings(model: ModelProto, files: CheckedFiles, number: int) -> tuple[str, ...]:
    """Return what a point says of a changed TensorRT file."""
    data = model.SerializeToString()
    points = (
        run_checklist(dataclasses.replace(files, trt=data, cpu=None))
        if number in EXECUTION_POINTS
        else run_static_checks(data, files.fp32)
    )
    found = next(point for point in points if point.number == number).findings
    assert found is not None
    return found


def node_of(model: ModelProto, operator: str, place: int = 0) -> NodeProto:
    found: list[NodeProto] = [node for node in model.graph.node if node.op_type == operator]
    return found[place]


def giver(model: ModelProto, name: str) -> NodeProto:
    found: NodeProto = next(node for node in model.graph.node if name in node.output)
    return found


def integer(model: ModelProto, *, depthwise: bool = False) -> NodeProto:
    """A convolution whose weight comes out of a DequantizeLinear."""
    back = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    nodes: list[NodeProto] = [
        node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in back
    ]
    return next(
        node
        for node in nodes
        if any(one.name == "group" and one.i > 1 for one in node.attribute) == depthwise
    )


def set_constant(
    model: ModelProto, name: str, value: Any
) -> None:  # Any: an array of whatever type
    for tensor in list(model.graph.initializer):
        if tensor.name == name:
            model.graph.initializer.remove(tensor)
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))


def constant(model: ModelProto, name: str) -> NDArray[Any]:  # Any: as above
    return numpy_helper.to_array(
        next(tensor for tensor in model.graph.initializer if tensor.name == name)
    )


def insert_behind(model: ModelProto, name: str, *nodes: NodeProto) -> None:
    place = next(number for number, node in enumerate(model.graph.node) if name in node.output)
    for offset, node in enumerate(nodes, 1):
        model.graph.node.insert(place + offset, node)


def give_codes(model: ModelProto, name: str, reader: NodeProto, scale: float = 0.1) -> None:
    """A Q/DQ pair between a tensor and one of its readers."""
    set_constant(model, "planted.scale", np.float32(scale))
    set_constant(model, "planted.zero", np.int8(0))
    parameters = ["planted.scale", "planted.zero"]
    reader.input[list(reader.input).index(name)] = "planted.given"
    insert_behind(
        model,
        name,
        helper.make_node("QuantizeLinear", [name, *parameters], ["planted.codes"], "planted.q"),
        helper.make_node(
            "DequantizeLinear", ["planted.codes", *parameters], ["planted.given"], "planted.dq"
        ),
    )


def set_attribute(
    node: NodeProto, name: str, value: Any
) -> None:  # Any: what ONNX knows as an attribute
    for one in list(node.attribute):
        if one.name == name:
            node.attribute.remove(one)
    node.attribute.append(helper.make_attribute(name, value))


def set_metadata(model: ModelProto, key: str, value: str | None) -> None:
    for entry in list(model.metadata_props):
        if entry.key == key:
            model.metadata_props.remove(entry)
    if value is not None:
        model.metadata_props.add(key=key, value=value)


def scales_differ(model: ModelProto) -> None:
    node = node_of(model, "DequantizeLinear")
    set_constant(model, "planted", np.float32(0.5) * constant(model, node.input[1]))
    node.input[1] = "planted"


def both_inputs_of_an_addition(model: ModelProto) -> None:
    node = node_of(model, "Add")
    bare = next(name for name in node.input if giver(model, name).op_type == "Conv")
    give_codes(model, bare, node)
