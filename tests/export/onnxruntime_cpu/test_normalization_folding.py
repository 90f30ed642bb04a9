"""Normalization inside the first convolution: the same in float, and exact in the CPU flavour but
for the padding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.qdq_nodes import QuantizedConv
from edgeseg.export.onnxruntime_cpu.normalization_folding import UNIT_STD, fold_mean, fold_std
from edgeseg.export.onnxruntime_cpu.qdq_placement import place_qdq_cpu
from edgeseg.export.onnxruntime_cpu.stem_widening import widen_stem
from edgeseg.models import MEAN, STD
from tests.helpers.quantization import plan_of

STEP = 0.05  # between the integers of the logits
RANGES = {"normalised": (-152.0, 152.0), "logits": (-127 * STEP, 127 * STEP)}
HEIGHT = 12


def network(
    width: int, kernel: int = 3, pads: tuple[int, ...] = (1, 1, 1, 1), stride: int = 2, **more: Any
) -> ModelProto:
    """One convolution; two frames."""
    random = np.random.default_rng(width)
    constants = {
        "weight": random.normal(0, 0.3 / kernel, (8, 3 // more.get("group", 1), kernel, kernel)),
        "bias": random.normal(0, 1, 8),
    }
    node = helper.make_node(
        "Conv",
        ["normalised", "weight", "bias"],
        ["logits"],
        "stem",
        pads=pads,
        strides=[stride] * 2,
        kernel_shape=[kernel] * 2,
        **more,
    )
    sides = [
        (HEIGHT + pads[0] + pads[2] - kernel) // stride + 1,
        (width + pads[1] + pads[3] - kernel) // stride + 1,
    ]
    given, found = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("normalised", [2, 3, HEIGHT, width]), ("logits", [2, 8, *sides]))
    )
    tensors = [
        numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in constants.items()
    ]
    graph = helper.make_graph([node], "small", [given], [found], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def interface(width: int) -> Interface:
    return Interface(height=HEIGHT, width=width, classes=8, mean=MEAN, std=STD, batch=2)


def images(width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (2, HEIGHT, width, 3)).astype(np.uint8)


def layers(model: ModelProto) -> dict[str, QuantizedConv]:
    weight, bias = (numpy_helper.to_array(tensor) for tensor in model.graph.initializer)
    scales = np.asarray(np.abs(weight).max((1, 2, 3)) / 127, np.float32)
    return {
        "stem": QuantizedConv(
            np.rint(weight / scales[:, None, None, None]).astype(np.int8), scales, bias
        )
    }


def logits(model: ModelProto, feed: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = open_session(model.SerializeToString(), 1).run(["logits"], feed)[0]
    return found


SHAPES = [  # width, kernel, pads, stride; the first three are widened
    (16, 3, (1, 1, 1, 1), 2),
    (12, 7, (3, 3, 3, 3), 2),
    (8, 2, (0, 0, 0, 0), 2),
    (18, 3, (1, 1, 1, 1), 2),
    (16, 3, (2, 0, 1, 1), 1),
    (12, 4, (0, 0, 0, 0), 4),
]


@pytest.mark.parametrize(("width", "kernel", "pads", "stride"), SHAPES)
def test_folding_std_changes_nothing(
    width: int, kernel: int, pads: tuple[int, ...], stride: int
) -> None:
    model, plain = network(width, kernel, pads, stride), interface(width)
    folded, unscaled = fold_std(model, plain)
    assert unscaled == replace(plain, std=UNIT_STD)
    values = images(width).transpose(0, 3, 1, 2) / 255
    mean, std = (np.array(numbers)[:, None, None] for numbers in (MEAN, STD))
    before = logits(model, {"normalised": ((values - mean) / std).astype(np.float32)})
    after = logits(folded, {"normalised": ((values - mean) * 255).astype(np.float32)})
    np.testing.assert_allclose(after, before, atol=1e-5)


@pytest.mark.parametrize("last", [False, True])
def test_no_pixel_is_multiplied_any_more(last: bool) -> None:
    model, plain = network(16), interface(16)
    wrapped, folded = (
        wrap_network(model, plain, channels_last=last),
        wrap_network(*fold_std(model, plain), channels_last=last),
    )
    names = [{node.name for node in each.graph.node} for each in (wrapped, folded)]
    assert names[0] - names[1] == {"before.mul"} and not names[1] - names[0]
    one, other = (
        open_session(each.SerializeToString(), 1).run(["entropy"], {"image": images(16)})[0]
        for each in (wrapped, folded)
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.usefixtures("exact_sums")
@pytest.mark.parametrize(("width", "kernel", "pads", "stride"), SHAPES)
def test_pixels_go_in_as_they_are(
    width: int, kernel: int, pads: tuple[int, ...], stride: int
) -> None:
    model, unscaled = fold_std(network(width, kernel, pads, stride), interface(width))
    widened = widen_stem(plan_of(model, RANGES, layers(model)))
    is_widened = widened.network.model is not model
    assert widened.network.shapes["normalised"][1] == (12 if is_widened else 3)
    folded = fold_mean(widened, unscaled)
    assert folded.network.input_name == "image"
    placed = place_qdq_cpu(folded)
    assert sum(node.op_type == "QuantizeLinear" for node in placed.graph.node) == 1 + is_widened * 3
    found = logits(placed, {"image": images(width)})

    exact = ModelProto()
    exact.CopyFrom(model)
    exact.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(layers(model)["stem"].dequantized_weight, "weight")
    )
    centered = images(width).transpose(0, 3, 1, 2) - 255 * np.array(MEAN)[:, None, None]
    wanted = logits(exact, {"normalised": centered.astype(np.float32)})
    off = np.abs(found - wanted)
    margin = -(-max(pads) // stride)
    inside = off[:, :, margin : off.shape[2] - margin, margin : off.shape[3] - margin]
    assert inside.size >= 64 and inside.max() < 0.505 * STEP
    weights = np.abs(layers(model)["stem"].dequantized_weight).sum((1, 2, 3)).max()
    assert off.max() < 0.505 * STEP + 0.5 * weights * any(pads)  # half a gray level of padding
    coarse = logits(
        place_qdq_cpu(plan_of(model, RANGES, layers(model))),
        {"normalised": centered.astype(np.float32)},
    )
    assert np.square(found - wanted).mean() < np.square(coarse - wanted).mean()


def test_what_begins_otherwise_is_left_alone() -> None:
    model, plain = network(16), interface(16)
    plan = plan_of(model, RANGES, layers(model))
    assert fold_mean(plan, plain) is plan  # std was not folded
    folded, unscaled = fold_std(model, plain)
    for plan in (
        plan_of(folded, RANGES, layers(folded), ["normalised"]),
        plan_of(folded, RANGES, layers(folded), ["logits"]),
        plan_of(folded, RANGES),
    ):
        assert fold_mean(plan, unscaled) is plan
    for other in (network(16, group=3), doubled()):
        assert fold_std(other, plain) == (other, plain)


def doubled() -> ModelProto:
    """Two readers of one image."""
    model = network(16)
    node = model.graph.node[0]
    node.output[0] = "one"
    model.graph.node.add().CopyFrom(node)
    model.graph.node[1].output[0], model.graph.node[1].name = "two", "other"
    model.graph.node.append(helper.make_node("Add", ["one", "two"], ["logits"], "sum"))
    return model
