"""Faults for points 1 to 5 of the TensorRT checklist: each changes a good INT8 file."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.helpers.checklist import (
    constant,
    giver,
    insert_behind,
    integer,
    node_of,
    set_attribute,
    set_constant,
)


def append(model: ModelProto, *nodes: NodeProto) -> None:
    """Nodes behind all others, whose results nobody reads."""
    model.graph.node.extend(nodes)


def newer_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 18


def newer_ir(model: ModelProto) -> None:
    model.ir_version = 10


def foreign_domain(model: ModelProto) -> None:
    node_of(model, "Relu").domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def weights_elsewhere(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def unknown_operator(model: ModelProto) -> None:
    node_of(model, "Exp").op_type = "Softplus"


def doubles(model: ModelProto) -> None:
    set_constant(model, "after.gamma", np.float64(0.5))


def open_batch(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"


def computed_shape(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Shape", ["logits"], ["planted"], "planted"))


def axes_as_input(model: ModelProto) -> None:
    node = node_of(model, "ReduceMax")
    set_constant(model, "planted", np.array([1], np.int64))
    node.input.append("planted")


def odd_coordinates(model: ModelProto) -> None:
    set_attribute(node_of(model, "Resize"), "coordinate_transformation_mode", "tf_crop_and_resize")


def antialiased(model: ModelProto) -> None:
    set_attribute(node_of(model, "Resize"), "antialias", 1)


def channels_last(model: ModelProto) -> None:
    set_constant(model, "after.scales", np.array([1, 2, 4, 4], np.float32))


def bytes_to_transpose(model: ModelProto) -> None:
    model.graph.node.insert(
        0, helper.make_node("Transpose", ["image"], ["planted"], "planted", perm=[0, 1, 2, 3])
    )
    node_of(model, "Cast").input[0] = "planted"


def bytes_read_twice(model: ModelProto) -> None:
    model.graph.node.append(
        helper.make_node("Cast", ["image"], ["planted"], "planted", to=TensorProto.FLOAT)
    )


def bytes_from_integers(model: ModelProto) -> None:
    giver(model, "mask").input[0] = "after.index"


def older_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 9


def names_twice(model: ModelProto) -> None:
    for node in model.graph.node:
        node.name = "planted"


def function_of_its_own(model: ModelProto) -> None:
    opset = helper.make_opsetid("", 17)
    twice = helper.make_node("Add", ["a", "a"], ["b"], "inside")
    model.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], [twice], [opset]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    append(model, helper.make_node("Twice", ["score"], ["planted"], "planted", domain="own"))
    model.graph.output.append(helper.make_tensor_value_info("planted", TensorProto.FLOAT, [1]))


def operator_of_nobody(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("own", 1))
    append(model, helper.make_node("Thing", ["score"], ["planted"], "planted", domain="own"))


def integers_convolved(model: ModelProto) -> None:
    set_constant(model, "planted.weight", np.ones((4, 3, 1, 1), np.int8))
    codes = "normalised.codes"
    made = helper.make_node("ConvInteger", [codes, "planted.weight"], ["planted"], "planted")
    insert_behind(model, codes, made)


def layer_normalization(model: ModelProto) -> None:
    set_constant(model, "planted.scale", np.ones(4, np.float32))
    append(
        model,
        helper.make_node("LayerNormalization", ["area", "planted.scale"], ["planted"], "planted"),
    )
    model.graph.output.append(helper.make_tensor_value_info("planted", TensorProto.FLOAT, [1, 4]))


def branch(model: ModelProto) -> None:
    set_constant(model, "planted.condition", np.array(True))
    value = helper.make_tensor_value_info("planted.result", TensorProto.FLOAT, [1])
    then, other = (
        helper.make_graph(
            [helper.make_node(operator, ["score"], ["planted.result"], f"planted.{operator}")],
            operator,
            [],
            [value],
        )
        for operator in ("Identity", "Neg")
    )
    branches = {"then_branch": then, "else_branch": other}
    append(model, helper.make_node("If", ["planted.condition"], ["planted"], "planted", **branches))
    model.graph.output.append(helper.make_tensor_value_info("planted", TensorProto.FLOAT, [1]))


def large_double(model: ModelProto) -> None:
    set_constant(model, "after.gamma", np.float64(1e300))


def short_integers(model: ModelProto) -> None:
    append(model, helper.make_node("Cast", ["score"], ["planted"], "planted", to=TensorProto.INT16))


def text(model: ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array(["a"], object), "planted"))


def short_input(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT16


def integers_multiplied(model: ModelProto) -> None:
    set_constant(model, "planted.column", np.ones((4, 1), np.int32))
    append(
        model,
        helper.make_node("Cast", ["area"], ["planted.row"], "planted.cast", to=TensorProto.INT32),
        helper.make_node("MatMul", ["planted.row", "planted.column"], ["planted"], "planted"),
    )


def open_height(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "H"


def nine_axes(model: ModelProto) -> None:
    set_constant(model, "planted.axes", np.arange(8))
    append(model, helper.make_node("Unsqueeze", ["score", "planted.axes"], ["planted"], "planted"))


def cubic(model: ModelProto) -> None:
    set_attribute(node_of(model, "Resize"), "mode", "cubic")


def last_of_equals(model: ModelProto) -> None:
    set_attribute(node_of(model, "ArgMax"), "select_last_index", 1)


def axes_not_named(model: ModelProto) -> None:
    set_constant(model, "planted.starts", np.array([0, 1], np.int64))
    set_constant(model, "planted.ends", np.array([1, 2], np.int64))
    window = ["logits", "planted.starts", "planted.ends"]
    append(model, helper.make_node("Slice", window, ["planted"], "planted"))


def pool_with_indices(model: ModelProto) -> None:
    outputs = ["planted", "planted.indices"]
    append(model, helper.make_node("MaxPool", ["logits"], outputs, "planted", kernel_shape=[2, 2]))


def dilated_pool(model: ModelProto) -> None:
    node = helper.make_node("MaxPool", ["logits"], ["planted"], "planted", kernel_shape=[2, 2])
    set_attribute(node, "dilations", [2, 2])
    append(model, node)


def training_norm(model: ModelProto) -> None:
    set_constant(model, "planted.ones", np.ones(4, np.float32))
    inputs, outputs = ["logits", *["planted.ones"] * 4], ["planted", "planted.m", "planted.v"]
    append(
        model, helper.make_node("BatchNormalization", inputs, outputs, "planted", training_mode=1)
    )


def wrong_volume(model: ModelProto) -> None:
    set_constant(model, "planted.shape", np.array([7, 9], np.int64))
    append(model, helper.make_node("Reshape", ["logits", "planted.shape"], ["planted"], "planted"))


def too_many_of_the_top(model: ModelProto) -> None:
    set_constant(model, "planted.flat", np.array([-1], np.int64))
    set_constant(model, "planted.number", np.array([3841], np.int64))
    append(
        model,
        helper.make_node("Reshape", ["before.float", "planted.flat"], ["planted.row"], "planted.r"),
        helper.make_node(
            "TopK", ["planted.row", "planted.number"], ["planted", "planted.i"], "planted"
        ),
    )
    model.graph.output.append(helper.make_tensor_value_info("planted", TensorProto.FLOAT, [3841]))


def wrong_groups(model: ModelProto) -> None:
    set_attribute(integer(model), "group", 2)


def bias_too_short(model: ModelProto) -> None:
    node = integer(model)
    set_constant(model, node.input[2], constant(model, node.input[2])[:5])


def computed_size(model: ModelProto) -> None:
    node = giver(model, "area")
    model.graph.node.insert(
        0, helper.make_node("Identity", [node.input[1]], ["planted"], "planted")
    )
    node.input[1] = "planted"


def bytes_to_halves(model: ModelProto) -> None:
    set_attribute(node_of(model, "Cast"), "to", TensorProto.FLOAT16)


def bytes_inside(model: ModelProto) -> None:
    append(model, helper.make_node("Identity", ["mask"], ["planted"], "planted"))


def bytes_dequantized(model: ModelProto) -> None:
    cast = node_of(model, "Cast")
    set_constant(model, "planted.scale", np.float32(1))
    set_constant(model, "planted.zero", np.uint8(0))
    inputs, given = ["image", "planted.scale", "planted.zero"], cast.output[0]
    model.graph.node.remove(cast)
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", inputs, [given], "planted"))
