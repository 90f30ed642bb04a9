"""Points 6 to 10 of the TensorRT checklist find the faults that were planted for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from edgeseg.export.tensorrt.checklist import CheckedFiles
from tests.helpers.checklist import (
    Plant,
    both_inputs_of_an_addition,
    constant,
    findings,
    give_codes,
    giver,
    insert_behind,
    integer,
    node_of,
    scales_differ,
    set_attribute,
    set_constant,
    set_metadata,
)


def set_zero(model: ModelProto, value: Any) -> None:  # Any: a numpy integer
    node = node_of(model, "QuantizeLinear")
    set_constant(model, node.input[2], value)


def nonzero_point(model: ModelProto) -> None:
    set_zero(model, np.int8(3))


def unsigned_codes(model: ModelProto) -> None:
    set_zero(model, np.uint8(0))


def two_inputs(model: ModelProto) -> None:
    node_of(model, "DequantizeLinear").input.pop()


def zero_scale(model: ModelProto) -> None:
    set_constant(model, node_of(model, "QuantizeLinear").input[1], np.float32(0))


def computed_scale(model: ModelProto) -> None:
    node_of(model, "QuantizeLinear").input[1] = "score"


def scale_for_each_channel_of_data(model: ModelProto) -> None:
    node = node_of(model, "QuantizeLinear")
    set_constant(model, node.input[1], np.full(3, 0.02, np.float32))
    set_constant(model, node.input[2], np.zeros(3, np.int8))


def axis_of_weights(model: ModelProto) -> None:
    set_attribute(giver(model, integer(model).input[1]), "axis", 1)


def one_scale_for_a_weight(model: ModelProto) -> None:
    back = giver(model, integer(model).input[1])
    set_constant(model, back.input[1], np.float32(0.01))
    set_constant(model, back.input[2], np.int8(0))


def codes_into_a_cast(model: ModelProto) -> None:
    codes = node_of(model, "QuantizeLinear").output[0]
    insert_behind(
        model,
        codes,
        helper.make_node("Cast", [codes], ["planted"], "planted", to=TensorProto.FLOAT),
    )


def codes_of_codes(model: ModelProto) -> None:
    node = integer(model)
    give_codes(model, node.input[0], node)


def codes_of_a_bias(model: ModelProto) -> None:
    node = integer(model)
    bias = node.input[2]
    set_constant(model, "planted.scale", np.float32(0.1))
    set_constant(model, "planted.zero", np.int8(0))
    node.input[2] = "planted.given"
    for number, made in enumerate(
        (
            helper.make_node(
                "QuantizeLinear",
                [bias, "planted.scale", "planted.zero"],
                ["planted.codes"],
                "planted.q",
            ),
            helper.make_node(
                "DequantizeLinear",
                ["planted.codes", "planted.scale", "planted.zero"],
                ["planted.given"],
                "planted.dq",
            ),
        )
    ):
        model.graph.node.insert(number, made)


def codes_given_out(model: ModelProto) -> None:
    node = node_of(model, "DequantizeLinear")
    model.graph.output.append(
        helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, [1, 3, 64, 96])
    )


def float_data(model: ModelProto) -> None:
    node = integer(model)
    node.input[0] = giver(model, giver(model, node.input[0]).input[0]).input[0]


def stored_codes(model: ModelProto) -> None:
    back = giver(model, integer(model).input[1])
    there = giver(model, back.input[0])
    weight, scale = constant(model, there.input[0]), constant(model, there.input[1])
    set_constant(model, "planted", np.rint(weight / scale[:, None, None, None]).astype(np.int8))
    back.input[0] = "planted"
    model.graph.node.remove(there)


def weights_too_large(model: ModelProto) -> None:
    there = giver(model, giver(model, integer(model).input[1]).input[0])
    weight = constant(model, there.input[0]).copy()
    weight.reshape(-1)[0] *= 300
    weight.reshape(-1)[0] += 300
    set_constant(model, there.input[0], weight)


def integer_bias(model: ModelProto) -> None:
    node = integer(model)
    set_constant(model, node.input[2], constant(model, node.input[2]).astype(np.float16))


def codes_before_an_activation(model: ModelProto) -> None:
    node = next(
        node
        for node in model.graph.node
        if node.op_type == "Clip" and not node.name.startswith("after.")
    )
    give_codes(model, node.input[0], node)


def no_input_of_an_addition(model: ModelProto) -> None:
    node = node_of(model, "Add")
    place = next(
        number
        for number, name in enumerate(node.input)
        if giver(model, name).op_type == "DequantizeLinear"
    )
    node.input[place] = giver(model, giver(model, node.input[place]).input[0]).input[0]


def one_input_of_a_concat(model: ModelProto) -> None:
    node = node_of(model, "Concat")
    give_codes(model, node.input[0], node)


def float_weights(model: ModelProto) -> None:
    node = integer(model)
    node.input[1] = giver(model, giver(model, node.input[1]).input[0]).input[0]


def convolution_lost(model: ModelProto) -> None:
    integer(model).name = "renamed"


PLANTED: list[tuple[int, Plant, str]] = [
    (6, nonzero_point, "QuantizeLinear normalised.q has a zero point"),
    (6, unsigned_codes, "QuantizeLinear normalised.q has a zero point"),
    (6, two_inputs, "2 inputs"),
    (6, zero_scale, "above 0"),
    (6, computed_scale, "no constant"),
    (6, scale_for_each_channel_of_data, "3 scales for an activation"),
    (6, axis_of_weights, "channels of axis 0"),
    (6, one_scale_for_a_weight, "channels of axis 0"),
    (7, scales_differ, "another scale"),
    (7, codes_into_a_cast, "feeds Cast planted"),
    (7, codes_of_codes, "has just given"),
    (7, codes_of_a_bias, "gives the bias of Conv"),
    (7, codes_given_out, "gives the output"),
    (8, float_data, "its data does not"),
    (8, stored_codes, "not FP32 with a Q and a DQ"),
    (8, weights_too_large, "steps, more than 127"),
    (8, integer_bias, "no FP32 constant"),
    (9, codes_before_an_activation, "its activation Clip"),
    (9, both_inputs_of_an_addition, "Add add_0, so they are no single kernel"),
    (9, no_input_of_an_addition, "Add add_0 adds"),
    (9, one_input_of_a_concat, "Concat concat_0 joins codes with"),
    (10, float_weights, "is float, and the metadata do not say so"),
    (10, convolution_lost, "of model.onnx is missing"),
]


@pytest.mark.parametrize(
    ("number", "plant", "words"),
    PLANTED,
    ids=[f"{number}-{plant.__name__}-{words}" for number, plant, words in PLANTED],
)
def test_a_planted_fault_is_found_by_its_point(
    trt: ModelProto, files: CheckedFiles, number: int, plant: Plant, words: str
) -> None:
    plant(trt)
    found = findings(trt, files, number)
    assert any(words in sentence for sentence in found), found


def test_without_a_list_of_float_convolutions_coverage_counts(
    trt: ModelProto, files: CheckedFiles
) -> None:
    set_metadata(trt, "edgeseg.float_convolutions", None)
    assert findings(trt, files, 10) == ()
    for _ in range(8):
        float_weights(trt)
    assert "of the multiply-adds are in INT8, less than 95 %" in findings(trt, files, 10)[0]
