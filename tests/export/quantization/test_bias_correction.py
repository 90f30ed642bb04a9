"""Bias correction finds a planted shift of the logits, and weighs pixels by how unsure the float
model is of them.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeseg.bundle.flavours import Int8Flavour
from edgeseg.calibration.histogram import Histogram
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.graph.qdq_nodes import QuantizedConv
from edgeseg.export.quantization.bias_correction import correct_bias, logits_conv
from edgeseg.export.quantization.quantizer import CalibrationResult, quantize
from edgeseg.progress import NullReporter

SIDE = 8
STEP = 16 / 127  # between integers of the logits
FLAVOURS: tuple[Int8Flavour, ...] = ("int8-cpu", "int8-trt")
INTERFACE = Interface(height=SIDE, width=SIDE, classes=2, mean=(0, 0, 0), std=(1, 1, 1))


def calibration(shift: float, *, behind: str = "") -> CalibrationResult:
    """Class 0 gains with the red of a pixel; in integers it is `shift` more likely, twice as much
    where red is full.
    """
    weight = np.zeros((2, 3, 1, 1), np.float32)
    weight[0, 0] = 8
    nodes = [
        helper.make_node("Conv", ["normalised", "weight"], ["raw" if behind else "logits"], "head")
    ]
    if behind:
        nodes.append(helper.make_node(behind, ["raw"], ["logits"], "behind"))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("normalised", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2, SIDE, SIDE])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    scales = np.full(2, (8 + shift) / 127, np.float32)
    integers = np.zeros(weight.shape, np.int8)
    integers[0, 0] = 127
    histograms = {}
    for name, most in (("normalised", 1.0), ("logits", 16.0)):
        histograms[name] = Histogram()
        histograms[name].collect(np.array([-most, most], np.float32))
    return CalibrationResult(
        AnalyzedNetwork(model),
        histograms,
        {"head": QuantizedConv(integers, scales, np.array([shift, 0], np.float32))},
    )


def corrected(before: CalibrationResult, *images: NDArray[np.uint8]) -> NDArray[np.float32]:
    after = correct_bias(
        before, INTERFACE, "int8-cpu", "minmax", images, threads=1, report=NullReporter()
    )
    assert after.network is before.network
    return after.layers["head"].bias


def test_a_shift_is_taken_back_where_the_model_is_unsure() -> None:
    black, red = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    red[..., 0] = 255
    before = calibration(0.5)
    assert corrected(before, black) == pytest.approx([0, 0], abs=STEP)
    assert corrected(before, red) == pytest.approx([-0.5, 0], abs=STEP)  # off by the weight too
    assert corrected(before, black, red, red, red) == pytest.approx([0, 0], abs=STEP)
    assert before.layers["head"].bias[0] == 0.5


def test_nothing_is_corrected_where_no_integer_layer_gives_the_logits() -> None:
    one, other = calibration(0.5), calibration(0.5, behind="Tanh")
    cpu, trt = (quantize(one, INTERFACE, flavour) for flavour in FLAVOURS)
    assert logits_conv(one, cpu) == "head"
    assert logits_conv(one, trt) is None  # too few channels for TensorRT
    assert logits_conv(other, quantize(other, INTERFACE, "int8-cpu")) is None
    np.testing.assert_array_equal(corrected(other), other.layers["head"].bias)
