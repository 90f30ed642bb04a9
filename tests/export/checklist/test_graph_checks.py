"""Points 1 to 5 of the TensorRT checklist find the faults that were planted for them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from edgeseg.export.tensorrt.checklist import CheckedFiles
from tests.helpers.checklist import Plant, findings, giver, node_of, set_attribute, set_constant


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


PLANTED: list[tuple[int, Plant, str]] = [
    (1, newer_opset, "opset 18"),
    (1, newer_ir, "IR version 10"),
    (1, foreign_domain, "domain com.microsoft"),
    (1, weights_elsewhere, "another file"),
    (2, unknown_operator, "Softplus after.exp"),
    (2, doubles, "DOUBLE"),
    (2, foreign_domain, "Relu relu_0"),
    (3, open_batch, "image is not fixed"),
    (3, computed_shape, "Shape planted"),
    (4, axes_as_input, "ReduceMax after.max has its axes as an input"),
    (4, odd_coordinates, "tf_crop_and_resize"),
    (4, antialiased, "antialias"),
    (4, channels_last, "other axes than the last two"),
    (5, bytes_to_transpose, "feeds Transpose planted"),
    (5, bytes_read_twice, "feeds Cast"),
    (5, bytes_from_integers, "mask comes from Cast after.mask_cast"),
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
