"""Faults for points 6 to 10 of the TensorRT checklist: each changes a good INT8 file."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from tests.helpers.checklist import (
    constant,
    give_codes,
    giver,
    insert_behind,
    integer,
    node_of,
    set_attribute,
    set_constant,
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
    node = node_of(model, "QuantizeLinear")
    made = helper.make_node("Relu", [node.input[1]], ["planted"], "planted")
    model.graph.node.insert(0, made)
    node.input[1] = "planted"


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
        helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, [1, 3, 32, 48])
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


def half_bias(model: ModelProto) -> None:
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
    node.input[0] = giver(model, giver(model, node.input[0]).input[0]).input[0]


def float_weights(model: ModelProto) -> None:
    node = integer(model)
    node.input[1] = giver(model, giver(model, node.input[1]).input[0]).input[0]


def convolution_lost(model: ModelProto) -> None:
    integer(model).name = "renamed"


def set_scale(model: ModelProto, value: Any) -> None:  # Any: a numpy array
    set_constant(model, node_of(model, "QuantizeLinear").input[1], value)


def zero_point_in_the_middle(model: ModelProto) -> None:
    set_zero(model, np.uint8(128))


def no_zero_points(model: ModelProto) -> None:
    for operator in ("QuantizeLinear", "DequantizeLinear"):
        node_of(model, operator).input.pop()


def negative_scale(model: ModelProto) -> None:
    set_scale(model, np.float32(-0.02))


def scale_not_a_number(model: ModelProto) -> None:
    set_scale(model, np.float32(np.nan))


def infinite_scale(model: ModelProto) -> None:
    set_scale(model, np.float32(np.inf))


def half_scale(model: ModelProto) -> None:
    set_scale(model, np.float16(0.02))


def scales_for_more_channels(model: ModelProto) -> None:
    set_scale(model, np.full(5, 0.02, np.float32))
    set_zero(model, np.zeros(5, np.int8))


def one_zero_point_for_many_scales(model: ModelProto) -> None:
    there = giver(model, giver(model, integer(model).input[1]).input[0])
    set_constant(model, there.input[2], np.int8(0))


def codes_into_an_activation(model: ModelProto) -> None:
    codes = node_of(model, "QuantizeLinear").output[0]
    insert_behind(model, codes, helper.make_node("Relu", [codes], ["planted"], "planted"))
    node_of(model, "DequantizeLinear").input[0] = "planted"


def codes_into_a_convolution(model: ModelProto) -> None:
    node = integer(model)
    node.input[0] = giver(model, node.input[0]).input[0]


def codes_of_bare_codes(model: ModelProto) -> None:
    node = node_of(model, "QuantizeLinear")
    inputs = [node.output[0], *node.input[1:]]
    again = helper.make_node("QuantizeLinear", inputs, ["planted"], "planted")
    insert_behind(model, node.output[0], again)
    node_of(model, "DequantizeLinear").input[0] = "planted"


def stored_codes_elsewhere(model: ModelProto) -> None:
    set_constant(model, "planted.codes", np.zeros(1, np.int8))
    model.graph.node.append(
        helper.make_node("Cast", ["planted.codes"], ["planted.f"], "planted", to=TensorProto.FLOAT)
    )
    model.graph.node.append(
        helper.make_node("Add", ["score", "planted.f"], ["planted.sum"], "planted.add")
    )
    value = helper.make_tensor_value_info("planted.sum", TensorProto.FLOAT, [1])
    model.graph.output.append(value)


def dequantized_bias(model: ModelProto) -> None:
    node = integer(model)
    bias = constant(model, node.input[2])
    set_constant(model, "planted.codes", np.rint(bias / 1e-3).astype(np.int32))
    set_constant(model, "planted.scale", np.float32(1e-3))
    set_constant(model, "planted.zero", np.int32(0))
    inputs = ["planted.codes", "planted.scale", "planted.zero"]
    made = helper.make_node("DequantizeLinear", inputs, ["planted"], "planted")
    model.graph.node.insert(0, made)
    node.input[2] = "planted"


def computed_weight(model: ModelProto) -> None:
    there = giver(model, giver(model, integer(model).input[1]).input[0])
    made = helper.make_node("Identity", [there.input[0]], ["planted"], "planted")
    model.graph.node.insert(0, made)
    there.input[0] = "planted"


def half_weight(model: ModelProto) -> None:
    there = giver(model, giver(model, integer(model).input[1]).input[0])
    set_constant(model, there.input[0], constant(model, there.input[0]).astype(np.float16))
