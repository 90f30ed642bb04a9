"""Logits are enlarged as torch does it, and ties favor no class."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, helper
from torch.nn import functional as F

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.logit_upsampling import upsample_channels_last
from edgeseg.export.graph.onnx_helpers import assemble
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.models import MEAN, STD


@pytest.mark.parametrize(
    ("batch", "classes", "height", "width", "down", "right", "products"),
    [
        (1, 3, 6, 5, 4, 4, True),
        (2, 16, 3, 7, 8, 8, True),
        (1, 2, 1, 1, 16, 8, True),
        (2, 5, 4, 1, 3, 5, True),
        (1, 13, 3, 5, 4, 4, False),
        (1, 3, 4, 6, 3.5, 3.5, False),
        (2, 4, 5, 6, 1, 1, False),
    ],
)
def test_logits_are_enlarged_as_torch_does(
    batch: int, classes: int, height: int, width: int, down: float, right: float, products: bool
) -> None:
    full = (int(height * down), int(width * right))
    logits = torch.randn(batch, classes, height, width, generator=torch.Generator().manual_seed(0))
    nodes, constants = upsample_channels_last(batch, classes, (height, width), full)
    ends = ((nodes[0].input[0], [*logits.shape]), (nodes[-1].output[0], [batch, *full, classes]))
    given, found = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sides) for name, sides in ends
    )
    shell = ModelProto(graph=onnx.GraphProto(input=[given], output=[found]))
    session = open_session(assemble(shell, nodes, constants).SerializeToString(), 1)
    (enlarged,) = session.run(None, {given.name: logits.numpy()})
    wanted = F.interpolate(logits, full, mode="bilinear").permute(0, 2, 3, 1)
    untied = 1e-3 if full == (height, width) else 0
    np.testing.assert_allclose(enlarged, wanted.numpy(), atol=1e-5 + untied)
    assert ("MatMul" in {node.op_type for node in nodes}) is products


def test_equal_logits_of_single_pixels_favor_no_class() -> None:
    interface = Interface(height=2, width=6, classes=4, mean=MEAN, std=STD)
    given, found = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, 2, 6])
        for name, channels in (("normalised", 3), ("logits", 4))
    )
    weight, bias = np.zeros((4, 3, 1, 1), np.float32), np.array([-1, 2, 0.9, 2], np.float32)
    shell = ModelProto(graph=onnx.GraphProto(input=[given], output=[found]))
    nodes = [helper.make_node("Conv", ["normalised", "weight", "bias"], ["logits"], "same")]
    model = wrap_network(
        assemble(shell, nodes, {"weight": weight, "bias": bias}), interface, channels_last=True
    )
    image = np.zeros((1, 2, 6, 3), np.uint8)
    mask, area = open_session(model.SerializeToString(), 1).run(["mask", "area"], {"image": image})
    assert mask.tolist() == [[[1, 3, 1, 3, 1, 3]] * 2] and area.tolist() == [[0, 0.5, 0, 0.5]]
