"""Small ONNX graphs, and the interface of the small exported network."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.models import MEAN, STD
from tests.helpers.exporting import HEIGHT, WIDTH

Constants = dict[str, NDArray[Any]]
INTERFACE = Interface(
    height=HEIGHT, width=WIDTH, classes=3, mean=MEAN, std=STD, temperature=1.7, gamma=0.8
)


def model(
    nodes: list[NodeProto],
    shape: list[int],
    constants: Constants,
    outputs: int = 1,
    opset: int = 18,
) -> ModelProto:
    """A graph from `x` to `y0`, `y1`, ..."""
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [
                helper.make_tensor_value_info(f"y{place}", TensorProto.FLOAT, None)
                for place in range(outputs)
            ],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=9,
    )
    return onnx.shape_inference.infer_shapes(made, strict_mode=True, data_prop=True)


def run(made: ModelProto, value: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    found: list[NDArray[np.float32]] = open_session(made.SerializeToString(), 1).run(
        None, {"x": value}
    )
    return found


def resize(mode: str, **attributes: Any) -> NodeProto:
    return helper.make_node(
        "Resize",
        ["x", "", "", "sizes"],
        ["y0"],
        mode=mode,
        antialias=attributes.pop("antialias", 0),
        keep_aspect_ratio_policy="stretch",
        **attributes,
    )


def empty_network() -> AnalyzedNetwork:
    """Return a network without nodes."""
    return AnalyzedNetwork(ModelProto())
