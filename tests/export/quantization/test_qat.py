"""Quantization-aware training: the module computes what ONNX Runtime computes, and training brings
it nearer to the float network.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeseg.bundle.flavours import Int8Flavour
from edgeseg.errors import ExportError
from edgeseg.export.evaluation.figures import sqnr
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.qdq_nodes import QuantizedConv
from edgeseg.export.onnxruntime_cpu.qdq_placement import place_qdq_cpu
from edgeseg.export.quantization.layer_sensitivity import run_logits
from edgeseg.export.quantization.qat import finetune
from edgeseg.export.quantization.qat_module import TorchGraph
from edgeseg.export.quantization.quantizer import calibrate, quantize
from edgeseg.export.tensorrt.qdq_placement import place_qdq_tensorrt
from edgeseg.progress import NullReporter

SIDE = 16
INTERFACE = Interface(
    height=SIDE, width=SIDE, classes=4, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)
)
RANDOM = np.random.default_rng(0)
IMAGES = [RANDOM.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8) for _ in range(6)]


def network() -> ModelProto:
    """Every operator that the flavours compute in integers, in 16x16."""
    weights = {
        "stem": (8, 3, 3, 3),
        "depthwise": (8, 1, 3, 3),
        "point": (8, 8, 1, 1),
        "gate": (8, 8, 1, 1),
        "last": (4, 16, 1, 1),
    }
    constants: dict[str, Any] = {
        f"{name}.w": RANDOM.normal(0, 0.4, shape).astype(np.float32)
        for name, shape in weights.items()
    }
    constants |= {
        f"{name}.b": RANDOM.normal(0, 0.2, shape[0]).astype(np.float32)
        for name, shape in weights.items()
    }
    constants |= {
        "zero": np.float32(0),
        "six": np.float32(6),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "size": np.array([1, 8, SIDE, SIDE], np.int64),
        "halves": np.array([4, 4], np.int64),
        "from": np.array([0], np.int64),
        "to": np.array([SIDE], np.int64),
        "axis": np.array([2], np.int64),
    }

    def conv(name: str, source: str, given: str, **attributes: Any) -> Any:
        return helper.make_node(
            "Conv", [source, f"{name}.w", f"{name}.b"], [given], name, **attributes
        )

    def node(kind: str, name: str, *sources: str, **attributes: Any) -> Any:
        return helper.make_node(kind, list(sources), [name], name, **attributes)

    nodes = [
        conv("stem", "normalised", "a", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Clip", "b", "a", "zero", "six"),
        conv("depthwise", "b", "c", group=8, pads=[2, 2, 2, 2], dilations=[2, 2]),
        node("Relu", "d", "c"),
        conv("point", "d", "e"),
        node("Add", "f", "e", "b"),
        node("MaxPool", "g", "f", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
        node("AveragePool", "h", "g", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
        node("GlobalAveragePool", "i", "h"),
        conv("gate", "i", "j"),
        node("Sigmoid", "k", "j"),
        node("Mul", "l", "h", "k"),
        node(
            "Resize",
            "m",
            "l",
            "",
            "scales",
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        ),
        node(
            "Resize",
            "n",
            "h",
            "",
            "",
            "size",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        helper.make_node("Split", ["n", "halves"], ["o1", "o2"], "split", axis=1),
        node("Concat", "p", "o2", "o1", axis=1),
        node("LeakyRelu", "q", "p", alpha=0.1),
        node("Slice", "r", "q", "from", "to", "axis"),
        node("Concat", "s", "m", "r", axis=1),
        conv("last", "s", "logits"),
    ]
    shape = [1, 3, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "all",
        [helper.make_tensor_value_info("normalised", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 4, SIDE, SIDE])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


CALIBRATED = calibrate(network(), INTERFACE, IMAGES, threads=1)


@pytest.mark.parametrize("flavour", ["float", "int8-cpu", "int8-trt"])
def test_the_module_computes_what_the_graph_does(flavour: str) -> None:
    placed = {
        "float": lambda: CALIBRATED.network.model,
        "int8-cpu": lambda: place_qdq_cpu(CALIBRATED.plan("int8-cpu", "mse")),
        "int8-trt": lambda: place_qdq_tensorrt(CALIBRATED.plan("int8-trt", "mse")),
    }[flavour]()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(placed.SerializeToString(), options)
    module = TorchGraph(placed, CALIBRATED.layers if flavour != "float" else {})
    assert len(module.weights) == (0 if flavour == "float" else 5 if flavour == "int8-cpu" else 3)
    differing = []
    for seed in range(5):
        image = np.random.default_rng(seed).normal(0, 1, (1, 3, SIDE, SIDE)).astype(np.float32)
        wanted = session.run(None, {"normalised": image})[0]
        with torch.no_grad():
            found = module(torch.from_numpy(image)).numpy()
        differing.append(np.mean(np.abs(found - wanted) > 1e-4 * np.abs(wanted).max()))
    # a value that lies between two integers may be rounded to either; the mean of a channel takes
    # the channel with it, in one image of twenty
    assert np.median(differing) < (0.001 if flavour == "float" else 0.02)


def test_codes_that_were_not_trained_come_back_as_they_were() -> None:
    placed = place_qdq_cpu(CALIBRATED.plan("int8-cpu", "mse"))
    for name, layer in TorchGraph(placed, CALIBRATED.layers).quantized_convs().items():
        np.testing.assert_array_equal(layer.weight_int8, CALIBRATED.layers[name].weight_int8)
        np.testing.assert_array_equal(layer.bias, CALIBRATED.layers[name].bias)


@pytest.mark.usefixtures("exact_sums")
@pytest.mark.parametrize("flavour", ["int8-cpu", "int8-trt"])
def test_training_repairs_spoiled_codes(flavour: Int8Flavour) -> None:
    random = np.random.default_rng(1)
    spoiled = {
        name: QuantizedConv(
            np.clip(
                layer.weight_int8 + random.integers(-6, 7, layer.weight_int8.shape), -127, 127
            ).astype(np.int8),
            layer.scales,
            layer.bias + 0.1,
        )
        for name, layer in CALIBRATED.layers.items()
    }
    bad = replace(CALIBRATED, layers=spoiled)
    good = finetune(bad, INTERFACE, flavour, "mse", IMAGES, steps=80, seed=0, report=NullReporter())
    truth = np.stack(run_logits(wrap_network(CALIBRATED.network.model, INTERFACE), IMAGES, 1))
    before, after = (
        sqnr(np.stack(run_logits(quantize(each, INTERFACE, flavour), IMAGES, 1)), truth)
        for each in (bad, good)
    )
    assert after > before + 1.5
    again = finetune(
        bad, INTERFACE, flavour, "mse", IMAGES, steps=80, seed=0, report=NullReporter()
    )
    assert all(
        np.array_equal(again.layers[name].weight_int8, good.layers[name].weight_int8)
        for name in good.layers
    )


def test_an_operator_that_cannot_be_trained_is_named() -> None:
    odd = ModelProto()
    odd.CopyFrom(CALIBRATED.network.model)
    odd.graph.node.append(helper.make_node("Elu", ["f"], ["unused"]))
    with pytest.raises(ExportError, match="cannot run Elu"):
        TorchGraph(odd, {})
