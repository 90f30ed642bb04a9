"""The ONNX parser of a stand-in for TensorRT.

It refuses a few of the things that the real one refuses; which nodes TensorRT reads is not its
business, and asked of the real parser elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from tests.fakes.objects.builder import Network, Tensor
from tests.fakes.objects.logger import ILogger, log_error
from tests.fakes.objects.strict import Strict

NO_NODE = -1
PLANTED = ("Assertion failed: mode\nis not supported", "Error parsing text format")


class ParserError(Strict):
    _kind = "ParserError"

    def __init__(self, text: str, code: str, node: int, name: str, operator: str) -> None:
        self._text, self._code, self._node = text, code, node
        self._name, self._operator = name, operator

    def desc(self) -> str:
        return self._text

    def node(self) -> int:
        return self._node

    def code(self) -> Any:  # Any: mypy knows no member
        return self._trt._enum("ErrorCode", self._code)

    def node_name(self) -> str:
        return self._name

    def node_operator(self) -> str:
        return self._operator


class OnnxParser(Strict):
    _kind = "OnnxParser"

    def __init__(self, network: Network, logger: ILogger) -> None:
        assert not network._read_by, "with two parsers of a network the real library crashes"
        self._network, self._logger = network, logger
        network._read_by.append(type(self).__name__)
        self._errors: list[ParserError] = []

    def parse(self, model: Any, path: str | None = None) -> bool:  # Any: a buffer
        network = self._network
        if network._layers or self._errors:
            log_error(self._logger, "Parse was called with a non-empty network definition")
            return False
        view = memoryview(model)
        data = view.tobytes()[: view.nbytes // view.itemsize]  # the elements count as bytes
        try:
            graph = onnx.load_model_from_string(data).graph
        except DecodeError:
            self._refuse("Failed to parse the ONNX model.", "MODEL_DESERIALIZE_FAILED")
            return False
        if "parse" in self._trt.faults:
            for index, text in enumerate(PLANTED):
                self._refuse(text, "UNSUPPORTED_NODE", index + 3, f"node{index + 3}", "Resize")
        else:
            for text, code, index in refusals(graph):
                node = graph.node[index]
                if self._trt.is_rtx and self._trt.api.index < 3 and not onnx.defs.has(node.op_type):
                    code = "INTERNAL_ERROR"  # before 1.7
                self._refuse(text, code, index, node.name, node.op_type)
        network._data, network._layers = data, len(graph.node)
        network._inputs = [self._make(Tensor, value) for value in graph.input]
        if not self._errors:
            network._outputs = [self._make(Tensor, value) for value in inferred_outputs(data)]
        return not self._errors

    def supports_operator(self, op_name: str | bytes) -> bool:
        name = op_name if isinstance(op_name, str) else bytes(op_name).decode()
        return bool(onnx.defs.has(name))

    def _refuse(
        self, text: str, code: str, node: int = NO_NODE, name: str = "", operator: str = ""
    ) -> None:
        log_error(self._logger, f"In node {node} with name: {name}: {code}: {text}")
        self._errors.append(self._make(ParserError, text, code, node, name, operator))

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError | None:
        if 0 <= index < len(self._errors):
            return self._errors[index]
        log_error(self._logger, f"vector::_M_range_check: __n (which is {index})")
        return None


@functools.cache
def inferred_outputs(data: bytes) -> list[onnx.ValueInfoProto]:
    """The outputs of a graph with the shapes that follow from its input; TensorRT does not ask what
    the file says of them.
    """
    model = onnx.load_model_from_string(data)
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return list(onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output)


def refusals(graph: onnx.GraphProto) -> list[tuple[str, str, int]]:
    """What is wrong with a graph: reason, code, and index of the node.

    Operators that nobody knows are told all at once, before anything else is looked at; of what is
    found on the way through the graph only the first.
    """
    unknown = [
        (f"Plugin not found for {node.op_type}", "INVALID_NODE", index)
        for index, node in enumerate(graph.node)
        if not onnx.defs.has(node.op_type)
    ]
    return unknown or list(_on_the_way(graph))[:1]


def _on_the_way(graph: onnx.GraphProto) -> Iterator[tuple[str, str, int]]:
    kinds = {value.name: value.data_type for value in graph.initializer}
    known = {"", *kinds, *(value.name for value in graph.input)}
    for index, node in enumerate(graph.node):
        if not known.issuperset(node.input):
            yield "Assertion failed: Node input was not registered.", "INVALID_GRAPH", index
        if node.op_type == "DequantizeLinear" and kinds.get(node.input[0]) == TensorProto.INT32:
            yield (
                f"Invalid Node - {node.name}\ninput has type Int32 but must have type Int8",
                "INVALID_NODE",
                index,
            )
        known |= set(node.output)
