"""What surrounds the network in the shipped graph: normalization in front; mask, entropy, score and
area behind.

    image uint8 [N,H,W,3] -> Cast, Sub, Mul, Transpose -> network -> logits float32 [N,C,h,w]
    logits -> bilinear, half pixel -> ArgMax -> mask uint8 [N,H,W]
    logits -> entropy at the temperature, at the logits' own size -> entropy float32 [N,h,w], 0..1
    entropy -> share above gamma -> score float32 [N]
    mask -> one pixel for each of the logits -> share of each class -> area float32 [N,C]

The choices are those that TensorRT 8.5 to 11 and ONNX Runtime both read, and that cost little on a
CPU: a full-size entropy map alone would take longer than an INT8 network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from edgeseg.calibration.observers import UINT8_STEPS
from edgeseg.export.graph.lowering import Constants, assemble

PREPROCESSING, POSTPROCESSING = (
    "before.",
    "after.",
)  # how the names of the added nodes begin; what is between them is the network
TIE = 1e-3  # a difference of logits that is none
FINITE = 80.0  # Exp of it, times it, summed over classes, is still a float
OUTPUTS = ("mask", "entropy", "score", "area")


@dataclass(frozen=True, kw_only=True)
class Interface:
    """What the graph is made for.

    Attributes:
        height, width: of the image; as many times the logits' height as its width, 3.5 times for
        patches of 14.
        classes: C.
        mean, std: of RGB in 0..1.
        temperature: what the logits are divided by before the entropy; the mask does not depend on
            it.
        gamma: entropy above which a pixel counts as unreliable.
        batch: N.
    """

    height: int
    width: int
    classes: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    temperature: float = 1.0
    gamma: float = 0.5
    batch: int = 1

    def with_thresholds(self, temperature: float, gamma: float) -> Interface:
        """The same with fitted values."""
        return replace(self, temperature=temperature, gamma=gamma)


def logits_size(network: ModelProto) -> tuple[int, int]:
    """(h, w) of the logits of a network from `edgeseg.export.graph.lowering.lower`."""
    sides = network.graph.output[0].type.tensor_type.shape.dim
    return sides[2].dim_value, sides[3].dim_value


def wrap_network(
    network: ModelProto, interface: Interface, *, channels_last: bool = False
) -> ModelProto:
    """The whole graph.

    Args:
        network: at opset 17, takes `normalized` float32 [N,3,H,W], or [N,12,H,W/4] from
            `widen_stem`, or `image` itself from `fold_mean`, and gives `logits` float32
            [N,C,h,w].
        channels_last: enlarge the logits with their channels last. The mask is the same but for
            ties within rounding, and ONNX Runtime is faster behind INT8 convolutions, but TensorRT
            refuses it.
    """
    height, width = logits_size(network)
    nodes, constants = list(network.graph.node), _constants(network)
    before, more = _before(interface, network.graph.input[0])
    coded = constants.get("logits.scale")
    small = coded is not None and UINT8_STEPS * float(coded) <= FINITE * interface.temperature
    after, others = _after(interface, height, width, channels_last, small)
    constants |= more | others
    batch, full = interface.batch, (interface.height, interface.width)
    shell = ModelProto()
    shell.graph.input.append(
        helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, *full, 3])
    )
    shell.graph.output.extend(
        [
            helper.make_tensor_value_info("mask", TensorProto.UINT8, [batch, *full]),
            helper.make_tensor_value_info("entropy", TensorProto.FLOAT, [batch, height, width]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, [batch]),
            helper.make_tensor_value_info("area", TensorProto.FLOAT, [batch, interface.classes]),
        ]
    )
    return assemble(shell, [*before, *nodes, *after], constants)


def _constants(network: ModelProto) -> Constants:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in network.graph.initializer}


def _node(
    operator: str, name: str, inputs: list[str], output: str, **attributes: Any
) -> NodeProto:  # Any: what ONNX knows as an attribute
    return helper.make_node(operator, inputs, [output], name, **attributes)


def _before(interface: Interface, entry: ValueInfoProto) -> tuple[list[NodeProto], Constants]:
    """uint8 NHWC to normalized NCHW, with as many pixels beside each other in one as the network's
    `entry` wants.

    TensorRT wants a Cast, and nothing else, right behind a uint8 input. The three channels are
    handled as rows of 3 W
    values: INT8 convolutions in ONNX Runtime want the channels last, and arithmetic along a last
    axis of 3 is slow.
    """
    if entry.name == "image":
        return [], {}
    mean, std = (255 * np.array(values, np.float64) for values in (interface.mean, interface.std))
    batch, height, width = interface.batch, interface.height, interface.width
    beside = entry.type.tensor_type.shape.dim[1].dim_value // 3
    centered, scaled = f"{PREPROCESSING}centred", f"{PREPROCESSING}scaled"
    dividing = (
        [_node("Mul", f"{PREPROCESSING}mul", [centered, f"{PREPROCESSING}scale"], scaled)]
        if (std != 1).any()
        else []
    )
    nodes = [
        _node(
            "Cast", f"{PREPROCESSING}cast", ["image"], f"{PREPROCESSING}float", to=TensorProto.FLOAT
        ),
        _node(
            "Reshape",
            f"{PREPROCESSING}flatten",
            [f"{PREPROCESSING}float", f"{PREPROCESSING}rows"],
            f"{PREPROCESSING}row",
        ),
        _node(
            "Sub", f"{PREPROCESSING}sub", [f"{PREPROCESSING}row", f"{PREPROCESSING}mean"], centered
        ),
        *dividing,
        _node(
            "Reshape",
            f"{PREPROCESSING}unflatten",
            [scaled if dividing else centered, f"{PREPROCESSING}pixels"],
            f"{PREPROCESSING}pixel",
        ),
        _node(
            "Transpose",
            f"{PREPROCESSING}transpose",
            [f"{PREPROCESSING}pixel"],
            "normalised",
            perm=[0, 3, 1, 2],
        ),
    ]
    return nodes, {
        f"{PREPROCESSING}rows": np.array([batch, height, 3 * width], np.int64),
        f"{PREPROCESSING}mean": np.tile(mean, width).astype(np.float32).reshape(1, 1, -1),
        f"{PREPROCESSING}scale": np.tile(1 / std, width).astype(np.float32).reshape(1, 1, -1),
        f"{PREPROCESSING}pixels": np.array([batch, height, width // beside, 3 * beside], np.int64),
    }


def _after(
    interface: Interface, height: int, width: int, channels_last: bool, small: bool
) -> tuple[list[NodeProto], Constants]:
    """Logits to the outputs. A uint8 output must come from a Cast whose input is float (TensorRT).

    Logits are made `small` for Exp by their maximum, which along the last axis takes longer than
    anything else here.
    """
    down, right = interface.height // height, interface.width // width
    a = POSTPROCESSING
    constants: Constants = {
        f"{a}temperature": np.float32(1 / interface.temperature).reshape(()),
        f"{a}channel": np.array([1], np.int64),
        f"{a}unit": np.float32(1 / math.log(interface.classes)).reshape(()),
        f"{a}gamma": np.float32(interface.gamma).reshape(()),
        f"{a}zero": np.float32(0).reshape(()),
        f"{a}one": np.float32(1).reshape(()),
        f"{a}starts": np.array([down // 2, right // 2], np.int64),
        f"{a}ends": np.array([interface.height, interface.width], np.int64),
        f"{a}axes": np.array([1, 2], np.int64),
        f"{a}steps": np.array([down, right], np.int64),
        f"{a}ids": np.arange(interface.classes, dtype=np.float32).reshape(1, -1, 1, 1),
        f"{a}shape": np.array([interface.batch, interface.classes], np.int64),
    }
    enlarged: list[NodeProto] = []  # nothing, where the logits have the size of the image
    if channels_last:
        enlarged, more = upsample_channels_last(interface, height, width)
        constants |= more
    elif (height, width) != (interface.height, interface.width):
        constants[f"{a}scales"] = np.array(
            [1, 1, interface.height / height, interface.width / width], np.float32
        )
        enlarged = [_resize("logits")]
    large = enlarged[-1].output[0] if enlarged else "logits"
    mask = [
        *enlarged,
        _node(
            "ArgMax", f"{a}argmax", [large], f"{a}index", axis=3 if channels_last else 1, keepdims=0
        ),
        _node("Cast", f"{a}index_cast", [f"{a}index"], f"{a}class", to=TensorProto.FLOAT),
        _node("Cast", f"{a}mask_cast", [f"{a}class"], "mask", to=TensorProto.UINT8),
    ]
    shifted = f"{a}tempered" if small else f"{a}shifted"
    shift = [
        _node("ReduceMax", f"{a}max", [f"{a}tempered"], f"{a}highest", axes=[1], keepdims=1),
        _node("Sub", f"{a}shift", [f"{a}tempered", f"{a}highest"], shifted),
    ]
    entropy = [
        _node("Mul", f"{a}temper", ["logits", f"{a}temperature"], f"{a}tempered"),
        *([] if small else shift),
        _node("Exp", f"{a}exp", [shifted], f"{a}weight"),
        _node("ReduceSum", f"{a}sum", [f"{a}weight", f"{a}channel"], f"{a}total", keepdims=0),
        _node("Mul", f"{a}product", [f"{a}weight", shifted], f"{a}terms"),
        _node(
            "ReduceSum", f"{a}terms_sum", [f"{a}terms", f"{a}channel"], f"{a}weighted", keepdims=0
        ),
        _node("Div", f"{a}divide", [f"{a}weighted", f"{a}total"], f"{a}expected"),
        _node("Log", f"{a}log", [f"{a}total"], f"{a}log_total"),
        _node("Sub", f"{a}subtract", [f"{a}log_total", f"{a}expected"], f"{a}nats"),
        _node("Mul", f"{a}normalise", [f"{a}nats", f"{a}unit"], f"{a}unclipped"),
        _node("Clip", f"{a}clip", [f"{a}unclipped", f"{a}zero", f"{a}one"], "entropy"),
    ]
    score = [
        _node("Greater", f"{a}greater", ["entropy", f"{a}gamma"], f"{a}unreliable"),
        _node(
            "Cast",
            f"{a}unreliable_cast",
            [f"{a}unreliable"],
            f"{a}unreliable_float",
            to=TensorProto.FLOAT,
        ),
        _node("ReduceMean", f"{a}mean", [f"{a}unreliable_float"], "score", axes=[1, 2], keepdims=0),
    ]
    area = [
        _node(
            "Slice",
            f"{a}slice",
            [f"{a}class", *(f"{a}{name}" for name in ("starts", "ends", "axes", "steps"))],
            f"{a}sampled",
        ),
        _node("Unsqueeze", f"{a}unsqueeze", [f"{a}sampled", f"{a}channel"], f"{a}plane"),
        _node("Equal", f"{a}equal", [f"{a}plane", f"{a}ids"], f"{a}is_class"),
        _node("Cast", f"{a}is_class_cast", [f"{a}is_class"], f"{a}one_hot", to=TensorProto.FLOAT),
        _node("GlobalAveragePool", f"{a}pool", [f"{a}one_hot"], f"{a}shares"),
        _node("Reshape", f"{a}reshape", [f"{a}shares", f"{a}shape"], "area"),
    ]
    return [*entropy, *mask, *score, *area], constants


def _resize(source: str) -> NodeProto:
    return _node(
        "Resize",
        f"{POSTPROCESSING}resize",
        [source, "", f"{POSTPROCESSING}scales"],
        f"{POSTPROCESSING}upsampled",
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )


def upsample_channels_last(
    interface: Interface, height: int, width: int
) -> tuple[list[NodeProto], Constants]:
    """Logits to [N,H,W,C], bilinear with half pixels.

    Enlarged n times, an output is one of n fixed mixtures of a pixel and its two neighbors, in
    rows as in columns, so two products of matrices do it, in less time than ONNX Runtime's Resize.
    The one of the columns mixes channels too, with zeros, and with many classes for few new columns
    it would cost more than it saves.

    Logits as large as the image are only reordered. In INT8 they are codes, of which the two
    highest are often equal, and ArgMax takes the first: a class late in the list lost 15 % of its
    area. So every other column prefers the last.
    """
    a, batch, classes = POSTPROCESSING, interface.batch, interface.classes
    full, times = (
        (interface.height, interface.width),
        (interface.height // height, interface.width // width),
    )
    last = _node("Transpose", f"{a}transpose", ["logits"], f"{a}last", perm=[0, 2, 3, 1])
    if full == (height, width):
        uneven = np.resize([-1, 1], width)[:, None] * np.linspace(0, TIE, classes)
        untie = _node("Add", f"{a}untie", [f"{a}last", f"{a}uneven"], f"{a}untied")
        return [last, untie], {f"{a}uneven": uneven.astype(np.float32)[None, None]}
    if full != (height * times[0], width * times[1]) or classes > 3 * times[1]:
        scales = np.array([1, full[0] / height, full[1] / width, 1], np.float32)
        return [last, _resize(f"{a}last")], {f"{a}scales": scales}
    nodes = [
        last,
        _node("Gather", f"{a}beside", [f"{a}last", f"{a}columns"], f"{a}three", axis=2),
        _node("Reshape", f"{a}join", [f"{a}three", f"{a}joined"], f"{a}triple"),
        _node("MatMul", f"{a}widen", [f"{a}triple", f"{a}across"], f"{a}wide"),
        _node("Reshape", f"{a}flatten", [f"{a}wide", f"{a}line"], f"{a}lines"),
        _node("Gather", f"{a}above", [f"{a}lines", f"{a}rows"], f"{a}stacked", axis=1),
        _node("MatMul", f"{a}heighten", [f"{a}down", f"{a}stacked"], f"{a}high"),
        _node("Reshape", f"{a}unflatten", [f"{a}high", f"{a}full"], f"{a}upsampled"),
    ]
    return nodes, {
        f"{a}columns": _neighbors(width),
        f"{a}joined": np.array([batch, height, width, 3 * classes], np.int64),
        f"{a}across": np.kron(_mixtures(times[1]), np.eye(classes)).T.astype(np.float32),
        f"{a}line": np.array([batch, height, full[1] * classes], np.int64),
        f"{a}rows": _neighbors(height),
        f"{a}down": _mixtures(times[0]),
        f"{a}full": np.array([batch, *full, classes], np.int64),
    }


def _neighbors(number: int) -> NDArray[np.int64]:
    """(number, 3): of each place, the one before, itself, and the one behind; the ends are their
    own.
    """
    return np.clip(np.arange(number)[:, None] + [-1, 0, 1], 0, number - 1)


def _mixtures(times: int) -> NDArray[np.float32]:
    """(times, 3): how much of the pixel before, the pixel itself and the one behind is in each of
    its enlarged ones.
    """
    away = (np.arange(times) + 0.5) / times - 0.5  # from the middle of the pixel, in pixels
    return np.stack([np.maximum(-away, 0), 1 - abs(away), np.maximum(away, 0)], axis=1).astype(
        np.float32
    )
