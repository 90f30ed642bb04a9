"""The files of a network of seven convolutions, for faults to be planted in.

It has what the checklist looks at: a stem, a depthwise convolution, a residual Add, a Resize, a
Concat, fused activations of both kinds. TensorRT builds it in a tenth of a second, a student in
more than one.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.bundle.flavours import INT8_TRT
from edgeseg.bundle.graph_metadata import (
    CALIBRATION_FRAMES_KEY,
    CALIBRATION_KEY,
    FLAVOUR_KEY,
    FLOAT_CONVOLUTIONS_KEY,
    FLOAT_TENSORS_KEY,
    SOURCE_KEY,
)
from edgeseg.export.graph.fp16 import to_fp16
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.onnx_helpers import IR_VERSION, OPSET
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.onnxruntime_cpu.kernel_report import float_convolutions
from edgeseg.export.quantization.quantizer import calibrate, quantize
from edgeseg.models import MEAN, STD

HEIGHT, WIDTH, CLASSES = 32, 48, 4
INTERFACE = Interface(height=HEIGHT, width=WIDTH, classes=CLASSES, mean=MEAN, std=STD)


class TinyFiles(NamedTuple):
    """Contents of the files."""

    fp32: bytes
    fp16: bytes
    int8: bytes


@cache
def tiny_files() -> TinyFiles:
    """Calibrate and write them, once in a process."""
    network = _Network().model()
    images = list(np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8))
    fp32 = wrap_network(network, INTERFACE).SerializeToString()
    int8 = quantize(calibrate(network, INTERFACE, images, threads=1), INTERFACE, INT8_TRT)
    metadata = {
        FLAVOUR_KEY: INT8_TRT,
        SOURCE_KEY: hashlib.sha256(fp32).hexdigest(),
        CALIBRATION_KEY: "mse",
        CALIBRATION_FRAMES_KEY: "2",
        FLOAT_TENSORS_KEY: "[]",
        FLOAT_CONVOLUTIONS_KEY: json.dumps(float_convolutions(int8)),
    }
    helper.set_model_props(int8, metadata)
    half = to_fp16(network, INTERFACE).SerializeToString()
    return TinyFiles(fp32, half, int8.SerializeToString())


class _Network:
    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.nodes: list[NodeProto] = []
        self.tensors: list[TensorProto] = []

    def model(self) -> ModelProto:
        low, high = self.constant("low", np.float32(0)), self.constant("high", np.float32(6))
        stem = self.node("Clip", self.convolution("stem", "normalised", 3, 16, stride=2), low, high)
        wide = self.node("Clip", self.convolution("wide", stem, 16, 16, group=16), low, high)
        block = self.node("Add", stem, self.convolution("narrow", wide, 16, 16, kernel=1))
        deep = self.node("Relu", self.convolution("deep", block, 16, 32, stride=2))
        coarse = self.node("Relu", self.convolution("coarse", deep, 32, 16, kernel=1))
        scales = self.constant("scales", np.array([1, 1, 2, 2], np.float32))
        fine = self.node("Resize", coarse, "", scales, mode="linear")
        mixed = self.node("Concat", stem, fine, axis=1)
        mixed = self.node("Relu", self.convolution("mix", mixed, 32, 16))
        self.convolution("head", mixed, 16, CLASSES, kernel=1)
        self.nodes[-1].output[0] = "logits"
        logits = [1, CLASSES, HEIGHT // 2, WIDTH // 2]
        graph = helper.make_graph(
            self.nodes,
            "tiny",
            [helper.make_tensor_value_info("normalised", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits)],
            self.tensors,
        )
        opset = helper.make_opsetid("", OPSET)
        made = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        return canonicalize_names(made)

    def constant(self, name: str, value: NDArray[Any]) -> str:  # Any: of whatever type
        self.tensors.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(
        self, operator: str, *inputs: str, **attributes: Any
    ) -> str:  # Any: what ONNX knows as an attribute
        output = f"made{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def convolution(
        self,
        name: str,
        source: str,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        group: int = 1,
    ) -> str:
        shape = (outputs, inputs // group, kernel, kernel)
        weight = (0.3 * self.random.standard_normal(shape)).astype(np.float32)
        bias = self.random.standard_normal(outputs).astype(np.float32)
        return self.node(
            "Conv",
            source,
            self.constant(f"{name}.weight", weight),
            self.constant(f"{name}.bias", bias),
            pads=[kernel // 2] * 4,
            strides=[stride] * 2,
            group=group,
        )
