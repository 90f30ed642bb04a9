"""The engine inspector of a stand-in for TensorRT."""

from __future__ import annotations

import json
from typing import Any

import onnx

from tests.fakes.objects.pybind_values import PybindEnum
from tests.fakes.objects.strict import Strict

Facts = dict[str, Any]  # Any: what json holds


class Inspector(Strict):
    _kind = "EngineInspector"

    def __init__(self, facts: Facts, data: bytes) -> None:
        self._facts, self._data = facts, data

    def get_engine_information(self, format: PybindEnum) -> str:
        assert format.name == "JSON"
        if "inspector" in self._trt.faults:
            return "not json"
        graph = onnx.load_model_from_string(self._data).graph
        makers = {output: node for node in graph.node for output in node.output}
        layers = [
            self._layer(node, makers)
            for node in graph.node
            if node.op_type in ("Conv", "Resize", "QuantizeLinear")
        ]
        if not self._facts["detailed"]:
            layers = [layer["Name"] for layer in layers]
        return json.dumps(
            {"Layers": layers, "I/O Tensors" if self._splits_types() else "Bindings": ["image"]}
        )

    def _splits_types(self) -> bool:
        """Whether the keys are those of 11."""
        return self._trt.is_rtx or int(self._trt.__version__.partition(".")[0]) >= 11

    def _layer(self, node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> Facts:
        source = makers.get(node.input[0])
        int8 = (
            source is not None
            and source.op_type == "DequantizeLinear"
            and "float" not in self._trt.faults
        )
        kinds = {"Conv": "CaskConvolution", "Resize": "Resize", "QuantizeLinear": "Reformat"}
        return {
            "Name": node.name or node.output[0],
            "LayerType": kinds[node.op_type],
            "Inputs": [self._format("Int8" if int8 else "FP32")],
            "Outputs": [self._format("FP32")],
        }

    def _format(self, kind: str) -> Facts:
        if self._splits_types():
            return {"Name": "x", "Format": "Row major linear", "Datatype": kind}
        return {
            "Name": "x",
            "Format/Datatype": f"Thirty-two wide channel vectorized row major {kind} format",
        }
