"""A small real bundle: a hand-made network whose answer is known, as FP32 and as an INT8 file for
the CPU.

Every pixel belongs to the class whose color is nearest, averaged over squares of 4x4 pixels, so a
test can paint a picture and say what must come out.
"""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeseg.bundle import Bundle, Manifest, write_bundle
from edgeseg.bundle.graph_metadata import FLAVOUR_KEY
from edgeseg.config import ClassSpec

HEIGHT, WIDTH, STRIDE = 64, 96, 4
CLASSES = (
    ClassSpec(name="night", color="#000000"),
    ClassSpec(name="brick", color="#e02020"),
    ClassSpec(name="grass", color="#20c020"),
    ClassSpec(name="water", color="#2040e0"),
)
COLORS = np.array([spec.rgb for spec in CLASSES], np.uint8)
GAMMA, SHARPNESS = 0.2, 12.0
Array = NDArray[Any]  # Any: of the type that the operator wants


def painted(classes: Array, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A picture, (height, width, 3) RGB, of equal tiles in the colors of `classes`, (rows,
    columns).
    """
    rows = np.arange(height) * classes.shape[0] // height
    columns = np.arange(width) * classes.shape[1] // width
    return np.asarray(COLORS[classes[rows][:, columns]], np.uint8)


def network() -> onnx.ModelProto:
    """The graph of a bundle, with pre- and post-processing inside, at opset 17 and IR 8."""
    count = len(CLASSES)
    targets = COLORS.astype(np.float32) / 255
    identity = np.zeros((3, 3, 3, 3), np.float32)
    identity[range(3), range(3), 1, 1] = 1
    constants: dict[str, Array] = {
        "std": np.float32(1 / 255).reshape(()),
        "identity": identity,
        "low": np.float32(0).reshape(()),
        "high": np.float32(6).reshape(()),
        "weight": (2 * SHARPNESS * targets).reshape(count, 3, 1, 1),
        "bias": -SHARPNESS * (targets**2).sum(1),
        "scales": np.array([1, 1, STRIDE, STRIDE], np.float32),
        "one": np.array([1], np.int64),
        "unit": np.float32(-1 / math.log(count)).reshape(()),
        "gamma": np.float32(GAMMA).reshape(()),
        "ids": np.arange(count, dtype=np.float32).reshape(1, -1, 1, 1),
        "shape": np.array([1, count], np.int64),
    }

    def node(
        operator: str, inputs: str, output: str, **attributes: Any
    ) -> onnx.NodeProto:  # Any: as ONNX has it
        return helper.make_node(operator, inputs.split(), [output], output, **attributes)

    nodes = [
        node("Cast", "image", "float", to=TensorProto.FLOAT),
        node("Transpose", "float", "planes", perm=[0, 3, 1, 2]),
        node("Mul", "planes std", "normalized"),
        node("Conv", "normalized identity", "copied", pads=[1, 1, 1, 1]),
        node("Clip", "copied low high", "clipped"),
        node(
            "AveragePool",
            "clipped",
            "pooled",
            kernel_shape=[STRIDE, STRIDE],
            strides=[STRIDE, STRIDE],
        ),
        node("Conv", "pooled weight bias", "logits"),
        helper.make_node(
            "Resize", ["logits", "", "scales"], ["upsampled"], "upsampled", mode="linear"
        ),
        node("ArgMax", "upsampled", "index", axis=1, keepdims=0),
        node("Cast", "index", "class", to=TensorProto.FLOAT),
        node("Cast", "class", "mask", to=TensorProto.UINT8),
        node("LogSoftmax", "logits", "log", axis=1),
        node("Exp", "log", "probability"),
        node("Mul", "probability log", "terms"),
        node("ReduceSum", "terms one", "nats", keepdims=0),
        node("Mul", "nats unit", "entropy"),
        node("Greater", "entropy gamma", "unreliable"),
        node("Cast", "unreliable", "unreliable_float", to=TensorProto.FLOAT),
        node("ReduceMean", "unreliable_float", "score", axes=[1, 2], keepdims=0),
        node("Unsqueeze", "class one", "plane"),
        node("Equal", "plane ids", "is_class"),
        node("Cast", "is_class", "one_hot", to=TensorProto.FLOAT),
        node("GlobalAveragePool", "one_hot", "shares"),
        node("Reshape", "shares shape", "area"),
    ]
    low = [1, HEIGHT // STRIDE, WIDTH // STRIDE]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])],
        [
            helper.make_tensor_value_info("mask", TensorProto.UINT8, [1, HEIGHT, WIDTH]),
            helper.make_tensor_value_info("entropy", TensorProto.FLOAT, low),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("area", TensorProto.FLOAT, [1, count]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def marked(model: onnx.ModelProto, flavour: str) -> bytes:
    """The bytes of `model` with `flavour` in its metadata."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    entry = copy.metadata_props.add()
    entry.key, entry.value = FLAVOUR_KEY, flavour
    return bytes(copy.SerializeToString())


def int8_cpu(model: onnx.ModelProto) -> bytes:
    """`model` quantized for ONNX Runtime's CPU kernels."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            generator = np.random.default_rng(0)
            tiles: Iterator[Array] = (generator.integers(0, len(CLASSES), (4, 6)) for _ in range(4))
            self._inputs = iter([{"image": painted(tile)[None]} for tile in tiles])

        def get_next(self) -> dict[str, Array] | None:
            return next(self._inputs, None)

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["Conv", "AveragePool"],
        )
        return marked(onnx.load(target), "int8-cpu")


def manifest(**changes: Any) -> Manifest:  # Any: whatever the manifest holds
    """The manifest of the tiny network."""
    values: dict[str, Any] = {
        "site": "tiny",
        "created": "2026-01-01T00:00:00Z",
        "classes": CLASSES,
        "height": HEIGHT,
        "width": WIDTH,
        "entropy_height": HEIGHT // STRIDE,
        "entropy_width": WIDTH // STRIDE,
        "gamma": GAMMA,
        "temperature": 1.0,
        "log_threshold": 0.05,
        "figures": {"int8-cpu": {"speedup": 1.5}},
        "provenance": {},
        "files": {},
    }
    return Manifest(**(values | changes))


def make_bundle(path: Path, *, int8: bool = True, **changes: Any) -> Bundle:  # Any: as `manifest`
    """Write the tiny bundle to `path`.

    Args:
        int8: with the INT8 file for the CPU.
        changes: of the manifest.
    """
    model = network()
    generator = np.random.default_rng(1)
    frames = np.stack([painted(generator.integers(0, len(CLASSES), (4, 6))) for _ in range(4)])
    golden = io.BytesIO()
    np.savez_compressed(
        golden,
        frames=frames,
        masks=np.abs(frames[..., None, :] - COLORS.astype(int)).sum(-1).argmin(-1).astype(np.uint8),
    )
    files = {"model.onnx": model.SerializeToString(), "golden.npz": golden.getvalue()}
    if int8:
        files["model.int8-cpu.onnx"] = int8_cpu(model)
    return write_bundle(path, manifest(**changes), files)
