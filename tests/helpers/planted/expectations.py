"""What is said of each planted fault: by our TensorRT checklist, and by NVIDIA's own code.

NVIDIA's answers are those of the parser and the builder of TensorRT for RTX 1.7, strongly typed,
for compute capability 8.6. Where it builds what our point refuses, the docstring of the check tells
why the point stays; docs/tensorrt.md has the same point by point.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

import onnx

from edgeseg.export.tensorrt.checklist import ChecklistPoint, run_static_checks
from tests.helpers.checklist import Plant, both_inputs_of_an_addition, scales_differ
from tests.helpers.planted import graph_faults as graph
from tests.helpers.planted import qdq_faults as qdq
from tests.helpers.planted.tiny_files import tiny_files


class Answer(NamedTuple):
    """NVIDIA's verdict on a file.

    Attributes:
        verdict: Who refused it, if anybody did.
        node: Operator and name of the node that the parser names; empty where it names none.
        words: Part of the reason, or of the warning.
    """

    verdict: Literal["builds", "warns", "parser refuses", "builder refuses", "crashes"]
    node: str = ""
    words: str = ""


class Expectation(NamedTuple):
    """One fault and both verdicts on it.

    Attributes:
        point: Our point that finds it, of 1 to 10.
        plant: Changes a good INT8 file.
        words: Part of our finding.
        nvidia: NVIDIA's verdict.
    """

    point: int
    plant: Plant
    words: str
    nvidia: Answer

    def __str__(self) -> str:
        return f"{self.point}-{self.plant.__name__}"

    def file(self) -> bytes:
        """Return the INT8 file with the fault in it."""
        return _file_with(self.plant)

    def findings(self) -> tuple[str, ...]:
        """Return what our point says of it."""
        points = _points_on(self.plant)
        return next(point for point in points if point.number == self.point).findings or ()


def _file_with(plant: Plant) -> bytes:
    model = onnx.load_model_from_string(tiny_files().int8)
    plant(model)
    data: bytes = model.SerializeToString()
    return data


@cache
def _points_on(plant: Plant) -> list[ChecklistPoint]:
    return run_static_checks(_file_with(plant), tiny_files().fp32)


BUILDS = Answer("builds")


def warns(words: str) -> Answer:
    return Answer("warns", "", words)


def parser(node: str, words: str) -> Answer:
    return Answer("parser refuses", node, words)


def builder(words: str) -> Answer:
    return Answer("builder refuses", "", words)


ONLY_INT8 = "Defaulting to INT8 instead"
NOT_POSITIVE = "Scale coefficients must all be positive"
NO_PROFILE = "no optimization profile has been defined"
OTHER_TYPE = "must be of same type"
FIRST_Q = "QuantizeLinear normalised.q"
FIRST_Q_OF_WEIGHT = "QuantizeLinear stem.int.weight.q"
FIRST_DQ_OF_WEIGHT = "DequantizeLinear stem.int.weight.dq"

_ROWS: list[tuple[int, Plant, str, Answer]] = [
    (1, graph.newer_opset, "opset 18", BUILDS),
    (1, graph.older_opset, "opset 9", parser("Resize resize_0", "Invalid Node")),
    (1, graph.newer_ir, "IR version 10", BUILDS),
    (1, graph.foreign_domain, "domain com.microsoft", BUILDS),
    (1, graph.weights_elsewhere, "another file", parser("", "import initializer")),
    (1, graph.names_twice, "called planted", parser("QuantizeLinear planted", "already in use")),
    (1, graph.function_of_its_own, "functions of its own", BUILDS),
    (2, graph.unknown_operator, "Softplus after.exp", BUILDS),
    (2, graph.operator_of_nobody, "Thing planted", parser("Thing planted", "Plugin not found")),
    (2, graph.integers_convolved, "ConvInteger planted", parser("ConvInteger planted", "")),
    (2, graph.layer_normalization, "LayerNormalization planted", BUILDS),
    (2, graph.branch, "If planted", BUILDS),
    (2, graph.foreign_domain, "Relu relu_0", BUILDS),
    (2, graph.doubles, "DOUBLE", BUILDS),
    (2, graph.large_double, "DOUBLE", warns("Clamping to")),
    (2, graph.text, "STRING", parser("", "import initializer")),
    (2, graph.short_integers, "INT16", parser("Cast planted", "Unsupported data type")),
    (2, graph.short_input, "UINT16", parser("", "Failed to convert ONNX date type")),
    (2, graph.integers_multiplied, "takes INT32", parser("MatMul planted", "type of INT32")),
    (3, graph.open_batch, "image is not fixed", builder(NO_PROFILE)),
    (3, graph.open_height, "image is not fixed", builder(NO_PROFILE)),
    (3, graph.computed_shape, "Shape planted", BUILDS),
    (3, graph.nine_axes, "more than 8 axes", parser("Unsqueeze planted", "rank greater than")),
    (4, graph.axes_as_input, "ReduceMax after.max has its axes as an input", BUILDS),
    (4, graph.axes_not_named, "without naming them", parser("Slice planted", "input axes")),
    (4, graph.computed_size, "takes planted, which is no constant", BUILDS),
    (4, graph.odd_coordinates, "tf_crop_and_resize", parser("Resize resize_0", "half_pixel")),
    (4, graph.antialiased, "antialias", parser("Resize resize_0", "Antialiasing is not supported")),
    (4, graph.cubic, "mode cubic", BUILDS),
    (4, graph.channels_last, "other axes than the last two", BUILDS),
    (4, graph.last_of_equals, "last of equal values", BUILDS),
    (4, graph.pool_with_indices, "gives indices", parser("MaxPool planted", "outputs for MaxPool")),
    (4, graph.dilated_pool, "is dilated", parser("MaxPool planted", "dilations other than 1")),
    (4, graph.training_norm, "training mode", parser("BatchNormalization planted", "training")),
    (4, graph.wrong_volume, "makes 63 values", parser("Reshape planted", "changes volume")),
    (4, graph.too_many_of_the_top, "3841 values", builder("K exceeds the maximum value")),
    (4, graph.wrong_groups, "takes 6 channels", parser("Conv stem", "The attribute group")),
    (4, graph.bias_too_short, "5 biases for 16 channels", builder("bias")),
    (5, graph.bytes_to_transpose, "feeds Transpose", parser("Transpose planted", "type UInt8")),
    (5, graph.bytes_to_halves, "feeds Cast", parser("Sub before.sub", "same input types")),
    (5, graph.bytes_dequantized, "feeds Dequantize", parser("DequantizeLinear planted", "UINT8")),
    (5, graph.bytes_inside, "uint8 inside", parser("Identity planted", "intermediate tensors")),
    (5, graph.bytes_read_twice, "feeds Cast", BUILDS),
    (5, graph.bytes_from_integers, "mask comes from Cast after.mask_cast", BUILDS),
    (6, qdq.nonzero_point, f"{FIRST_Q} has a zero point", parser(FIRST_Q, "Non-zero")),
    (6, qdq.zero_point_in_the_middle, "has a zero point", parser(FIRST_Q, "Non-zero")),
    (6, qdq.unsigned_codes, f"{FIRST_Q} has a zero point", warns(ONLY_INT8)),
    (6, qdq.two_inputs, "2 inputs", BUILDS),
    (6, qdq.no_zero_points, "2 inputs", BUILDS),
    (6, qdq.zero_scale, "above 0", parser(FIRST_Q, NOT_POSITIVE)),
    (6, qdq.negative_scale, "above 0", parser(FIRST_Q, NOT_POSITIVE)),
    (6, qdq.scale_not_a_number, "finite", parser(FIRST_Q, NOT_POSITIVE)),
    (6, qdq.infinite_scale, "finite", BUILDS),
    (6, qdq.half_scale, "not FP32", parser("Conv stem", OTHER_TYPE)),
    (6, qdq.computed_scale, "no constant", BUILDS),
    (6, qdq.scale_for_each_channel_of_data, "3 scales for an activation", BUILDS),
    (6, qdq.scales_for_more_channels, "5 scales for", parser(FIRST_Q, "number of scales")),
    (6, qdq.axis_of_weights, "channels of axis 0", parser(FIRST_DQ_OF_WEIGHT, "number of scales")),
    (6, qdq.one_scale_for_a_weight, "channels of axis 0", BUILDS),
    (6, qdq.one_zero_point_for_many_scales, "1 zero points", parser(FIRST_Q_OF_WEIGHT, "volume")),
    (7, scales_differ, "another scale", BUILDS),
    (7, qdq.codes_into_a_cast, "feeds Cast planted", BUILDS),
    (7, qdq.codes_into_an_activation, "feeds Relu planted", BUILDS),
    (7, qdq.codes_into_a_convolution, "feeds Conv stem", parser("Conv stem", OTHER_TYPE)),
    (7, qdq.codes_of_bare_codes, "feeds Quantize", parser("QuantizeLinear planted", "type Int8")),
    (7, qdq.codes_of_codes, "has just given", BUILDS),
    (7, qdq.codes_of_a_bias, "gives the bias of Conv", BUILDS),
    (7, qdq.dequantized_bias, "gives the bias", parser("DequantizeLinear planted", "type Int32")),
    (7, qdq.codes_given_out, "gives the output", BUILDS),
    (7, qdq.stored_codes_elsewhere, "reads the codes", builder("Quantized constant")),
    (8, qdq.float_data, "its data does not", BUILDS),
    (8, qdq.stored_codes, "not FP32 with a Q and a DQ", BUILDS),
    (8, qdq.computed_weight, "not FP32 with a Q and a DQ", BUILDS),
    (8, qdq.half_weight, "not FP32 with a Q and a DQ", BUILDS),
    (8, qdq.weights_too_large, "steps, more than 127", BUILDS),
    (8, qdq.half_bias, "no FP32 constant", parser("Conv stem", OTHER_TYPE)),
    (9, qdq.codes_before_an_activation, "its activation Clip", BUILDS),
    (9, both_inputs_of_an_addition, "Add add_0, so they are no single kernel", BUILDS),
    (9, qdq.no_input_of_an_addition, "Add add_0 adds", BUILDS),
    (9, qdq.one_input_of_a_concat, "Concat concat_0 joins codes with", BUILDS),
    (10, qdq.float_weights, "is float, and the metadata do not say so", BUILDS),
    (10, qdq.convolution_lost, "of model.onnx is missing", BUILDS),
]
EXPECTATIONS = [Expectation(*row) for row in _ROWS]


def expectations_of(*points: int) -> list[Expectation]:
    """Return the rows of our points."""
    return [expected for expected in EXPECTATIONS if expected.point in points]
