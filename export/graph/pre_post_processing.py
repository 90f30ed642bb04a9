"""Pre- and post-processing inside the shipped graph, so that devices feed pixels and read masks.

    image uint8 [N,H,W,3] -> Cast, Sub, Mul, Transpose -> network -> logits float32 [N,C,h,w]
    logits -> bilinear, half pixel -> ArgMax -> mask uint8 [N,H,W]
       (of INT8 logits on a CPU: `edgeseg.export.graph.mask_by_cells`)
    logits -> entropy at the temperature, at the logits' own size -> entropy float32 [N,h,w], 0..1
    entropy -> share above gamma -> score float32 [N]
    mask -> one pixel for each of the logits -> share of each class -> area float32 [N,C]

Every engine then normalizes alike, and a device needs neither mean and std nor an argmax of its
own. The operators are those that TensorRT 8.5 to 11 and ONNX Runtime both read, and that cost
little on a CPU: a full-size entropy map alone would take longer than an INT8 network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from edgeseg.calibration.histogram import UINT8_STEPS
from edgeseg.export.graph.logit_upsampling import (
    POSTPROCESSING,
    resize_node,
    upsample_channels_last,
)
from edgeseg.export.graph.mask_by_cells import has_cells, mask_by_cells
from edgeseg.export.graph.onnx_helpers import Constants, assemble, constants_of

PREPROCESSING = "before."  # how the names of all nodes and tensors in front of the network begin
MAX_EXPONENT = 80.0  # Exp of it, times it, summed over classes, is still a float
OUTPUTS = ("mask", "entropy", "score", "area")


@dataclass(frozen=True, kw_only=True)
class Interface:
    """The parameters of pre- and post-processing.

    Attributes:
        height, width: The size of the image; as many times the logits' height as its width, 3.5
            times for patches of 14.
        classes: C.
        mean, std: Those of RGB in 0..1.
        temperature: What the logits are divided by before the entropy; the mask does not depend on
            it.
        gamma: The entropy above which a pixel counts as unreliable.
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
        """Return the same with fitted values."""
        return replace(self, temperature=temperature, gamma=gamma)


def logits_size(network: ModelProto) -> tuple[int, int]:
    """Return (h, w) of the logits of a network from `edgeseg.export.graph.lowering.lower`."""
    sides = network.graph.output[0].type.tensor_type.shape.dim
    return sides[2].dim_value, sides[3].dim_value


def wrap_network(
    network: ModelProto, interface: Interface, *, channels_last: bool = False
) -> ModelProto:
    """Return the whole graph: pre-processing, the network, post-processing.

    Args:
        network: At opset 17; takes `normalised` float32 [N,3,H,W], or [N,12,H,W/4] from
            `widen_stem`, or `image` itself from `fold_mean`, and gives `logits` float32 [N,C,h,w].
        channels_last: Upsample the logits with their channels last, and where they are integers
            only in the cells in which classes meet. The mask is the same but for ties within
            rounding, and ONNX Runtime is faster behind INT8 convolutions, but TensorRT refuses it.
    """
    height, width = logits_size(network)
    constants = constants_of(network)
    # INT8 logits have a largest value, which is known; where Exp can take it, nothing is subtracted
    logits_scale = constants.get("logits.scale")
    max_logit = UINT8_STEPS * float(logits_scale) if logits_scale is not None else math.inf
    exp_is_safe = max_logit <= MAX_EXPONENT * interface.temperature

    before, preprocessing = _preprocessing(interface, network.graph.input[0])
    codes = _logits_codes(network) if channels_last else None
    image_size = (interface.height, interface.width)
    if codes and has_cells(interface.classes, (height, width), image_size):
        to_mask, mask_constants = mask_by_cells(
            codes, interface.batch, interface.classes, (height, width), image_size
        )
        to_area = _area_nodes("mask")
    else:
        upsampling, mask_constants = _upsampling(interface, (height, width), channels_last)
        upsampled = upsampling[-1].output[0] if upsampling else "logits"
        to_mask = [*upsampling, *_mask_nodes(upsampled, channels_last)]
        to_area = _area_nodes(f"{POSTPROCESSING}class")
    after = [*_entropy_nodes(exp_is_safe), *to_mask, *_score_nodes(), *to_area]
    constants |= preprocessing
    constants |= _postprocessing_constants(interface, height, width) | mask_constants
    shell = _inputs_and_outputs(interface, height, width)
    return assemble(shell, [*before, *network.graph.node, *after], constants)


def _logits_codes(network: ModelProto) -> str | None:
    """Return the tensor of integers that the logits are made of, None if they are made in float."""
    producer = next(node for node in network.graph.node if "logits" in node.output)
    return producer.input[0] if producer.op_type == "DequantizeLinear" else None


def _inputs_and_outputs(interface: Interface, height: int, width: int) -> ModelProto:
    """Return a model that has only the inputs and outputs of the whole graph."""
    batch, image_size = interface.batch, (interface.height, interface.width)
    shell = ModelProto()
    for values, name, kind, shape in (
        (shell.graph.input, "image", TensorProto.UINT8, [batch, *image_size, 3]),
        (shell.graph.output, "mask", TensorProto.UINT8, [batch, *image_size]),
        (shell.graph.output, "entropy", TensorProto.FLOAT, [batch, height, width]),
        (shell.graph.output, "score", TensorProto.FLOAT, [batch]),
        (shell.graph.output, "area", TensorProto.FLOAT, [batch, interface.classes]),
    ):
        values.append(helper.make_tensor_value_info(name, kind, shape))
    return shell


def _node(
    operator: str, name: str, inputs: list[str], output: str, **attributes: Any
) -> NodeProto:  # Any: what ONNX knows as an attribute
    return helper.make_node(operator, inputs, [output], name, **attributes)


def _preprocessing(
    interface: Interface, entry: ValueInfoProto
) -> tuple[list[NodeProto], Constants]:
    """Turn uint8 NHWC pixels into the normalized NCHW tensor that the network takes.

    TensorRT wants a Cast, and nothing else, right behind a uint8 input. The three channels are
    handled as rows of 3 W values: INT8 convolutions in ONNX Runtime want the channels last, and
    arithmetic along a last axis of 3 is slow. An image of 64 x 96 goes (1, 64, 96, 3) -> row
    (1, 64, 288) -> pixel (1, 64, 96, 3) -> normalised (1, 3, 64, 96).

    Args:
        entry: The network's input. Its channels are 3 times the number of pixels side by side that
            it takes as one; 12 channels are 4 pixels, and `pixel` is (1, 64, 24, 12).
    """
    if entry.name == "image":  # the first convolution takes the pixels as they are
        return [], {}
    p = PREPROCESSING
    mean, std = (255 * np.array(values, np.float64) for values in (interface.mean, interface.std))
    batch, height, width = interface.batch, interface.height, interface.width
    pixels_per_group = entry.type.tensor_type.shape.dim[1].dim_value // 3
    centered, scaled = f"{p}centred", f"{p}scaled"
    nodes = [
        _node("Cast", f"{p}cast", ["image"], f"{p}float", to=TensorProto.FLOAT),
        _node("Reshape", f"{p}flatten", [f"{p}float", f"{p}rows"], f"{p}row"),
        _node("Sub", f"{p}sub", [f"{p}row", f"{p}mean"], centered),
    ]
    is_scaled = bool((std != 1).any())  # else the first weights were divided by it
    if is_scaled:
        nodes.append(_node("Mul", f"{p}mul", [centered, f"{p}scale"], scaled))
    flat = scaled if is_scaled else centered
    nodes += [
        _node("Reshape", f"{p}unflatten", [flat, f"{p}pixels"], f"{p}pixel"),
        _node("Transpose", f"{p}transpose", [f"{p}pixel"], "normalised", perm=[0, 3, 1, 2]),
    ]
    groups = [batch, height, width // pixels_per_group, 3 * pixels_per_group]
    return nodes, {
        f"{p}rows": np.array([batch, height, 3 * width], np.int64),
        f"{p}mean": np.tile(mean, width).astype(np.float32).reshape(1, 1, -1),
        f"{p}scale": np.tile(1 / std, width).astype(np.float32).reshape(1, 1, -1),
        f"{p}pixels": np.array(groups, np.int64),
    }


def _postprocessing_constants(interface: Interface, height: int, width: int) -> Constants:
    """Return what the nodes behind the network read, for logits of (height, width).

    `starts`, `ends` and `steps` take one pixel of the mask for each of the logits, the middle one:
    with an image of 64 x 96 and logits of 16 x 24 they are rows 2, 6, ..., 62 and columns
    2, 6, ..., 94.
    """
    p = POSTPROCESSING
    down, right = interface.height // height, interface.width // width
    return {
        f"{p}temperature": np.float32(1 / interface.temperature).reshape(()),
        f"{p}channel": np.array([1], np.int64),
        f"{p}unit": np.float32(1 / math.log(interface.classes)).reshape(()),
        f"{p}gamma": np.float32(interface.gamma).reshape(()),
        f"{p}zero": np.float32(0).reshape(()),
        f"{p}one": np.float32(1).reshape(()),
        f"{p}starts": np.array([down // 2, right // 2], np.int64),
        f"{p}ends": np.array([interface.height, interface.width], np.int64),
        f"{p}axes": np.array([1, 2], np.int64),
        f"{p}steps": np.array([down, right], np.int64),
        f"{p}ids": np.arange(interface.classes, dtype=np.float32).reshape(1, -1, 1, 1),
        f"{p}shape": np.array([interface.batch, interface.classes], np.int64),
    }


def _upsampling(
    interface: Interface, size: tuple[int, int], channels_last: bool
) -> tuple[list[NodeProto], Constants]:
    """Bring the logits to the image's size; no node where they have it."""
    image_size = (interface.height, interface.width)
    if channels_last:
        return upsample_channels_last(interface.batch, interface.classes, size, image_size)
    if size == image_size:
        return [], {}
    scales = np.array([1, 1, image_size[0] / size[0], image_size[1] / size[1]], np.float32)
    return [resize_node("logits")], {f"{POSTPROCESSING}scales": scales}


def _mask_nodes(upsampled: str, channels_last: bool) -> list[NodeProto]:
    """Logits of the image's size to `mask`.

    A uint8 output must come from a Cast whose input is float (TensorRT), hence two of them.
    """
    p = POSTPROCESSING
    axis = 3 if channels_last else 1
    return [
        _node("ArgMax", f"{p}argmax", [upsampled], f"{p}index", axis=axis, keepdims=0),
        _node("Cast", f"{p}index_cast", [f"{p}index"], f"{p}class", to=TensorProto.FLOAT),
        _node("Cast", f"{p}mask_cast", [f"{p}class"], "mask", to=TensorProto.UINT8),
    ]


def _entropy_nodes(exp_is_safe: bool) -> list[NodeProto]:
    """Logits to `entropy`, of softmax(logits / temperature), divided by ln C.

    With t the tempered logits, w = exp(t) and W = sum of w over the classes, the entropy is
    ln W - sum(w t) / W: for t = [1, 0], w = [2.718, 1], W = 3.718, it is 1.313 - 0.731 = 0.582
    nats, which is 0.840 of ln 2.

    Args:
        exp_is_safe: The logits are small enough for Exp. Else their maximum is subtracted first,
            which along this axis takes longer than anything else here.
    """
    p = POSTPROCESSING
    nodes = [_node("Mul", f"{p}temper", ["logits", f"{p}temperature"], f"{p}tempered")]
    exponent = f"{p}tempered"
    if not exp_is_safe:
        exponent = f"{p}shifted"
        nodes += [
            _node("ReduceMax", f"{p}max", [f"{p}tempered"], f"{p}highest", axes=[1], keepdims=1),
            _node("Sub", f"{p}shift", [f"{p}tempered", f"{p}highest"], exponent),
        ]
    channel = f"{p}channel"
    return [
        *nodes,
        _node("Exp", f"{p}exp", [exponent], f"{p}weight"),
        _node("ReduceSum", f"{p}sum", [f"{p}weight", channel], f"{p}total", keepdims=0),
        _node("Mul", f"{p}product", [f"{p}weight", exponent], f"{p}terms"),
        _node("ReduceSum", f"{p}terms_sum", [f"{p}terms", channel], f"{p}weighted", keepdims=0),
        _node("Div", f"{p}divide", [f"{p}weighted", f"{p}total"], f"{p}expected"),
        _node("Log", f"{p}log", [f"{p}total"], f"{p}log_total"),
        _node("Sub", f"{p}subtract", [f"{p}log_total", f"{p}expected"], f"{p}nats"),
        _node("Mul", f"{p}normalise", [f"{p}nats", f"{p}unit"], f"{p}unclipped"),
        _node("Clip", f"{p}clip", [f"{p}unclipped", f"{p}zero", f"{p}one"], "entropy"),
    ]


def _score_nodes() -> list[NodeProto]:
    """`entropy` to `score`, the share of its pixels above gamma."""
    p = POSTPROCESSING
    unreliable, as_float = f"{p}unreliable", f"{p}unreliable_float"
    return [
        _node("Greater", f"{p}greater", ["entropy", f"{p}gamma"], unreliable),
        _node("Cast", f"{p}unreliable_cast", [unreliable], as_float, to=TensorProto.FLOAT),
        _node("ReduceMean", f"{p}mean", [as_float], "score", axes=[1, 2], keepdims=0),
    ]


def _area_nodes(classes: str) -> list[NodeProto]:
    """The mask's classes to `area`, the share of each class among sampled pixels.

    Classes (N, H, W) -> sampled (N, h, w) -> plane (N, 1, h, w) -> one_hot (N, C, h, w) -> shares
    (N, C, 1, 1).

    Args:
        classes: The mask as floats, or "mask" itself.
    """
    p = POSTPROCESSING
    window = [f"{p}{name}" for name in ("starts", "ends", "axes", "steps")]
    sampling = [_node("Slice", f"{p}slice", [classes, *window], f"{p}sampled")]
    if classes == "mask":
        picked = f"{p}picked"
        sampling[0].output[:] = [picked]
        sampling.append(
            _node("Cast", f"{p}picked_cast", [picked], f"{p}sampled", to=TensorProto.FLOAT)
        )
    return [
        *sampling,
        _node("Unsqueeze", f"{p}unsqueeze", [f"{p}sampled", f"{p}channel"], f"{p}plane"),
        _node("Equal", f"{p}equal", [f"{p}plane", f"{p}ids"], f"{p}is_class"),
        _node("Cast", f"{p}is_class_cast", [f"{p}is_class"], f"{p}one_hot", to=TensorProto.FLOAT),
        _node("GlobalAveragePool", f"{p}pool", [f"{p}one_hot"], f"{p}shares"),
        _node("Reshape", f"{p}reshape", [f"{p}shares", f"{p}shape"], "area"),
    ]
