"""The FP16 file."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto
from torch.nn import functional as F

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.fp16 import to_fp16
from tests.helpers.exporting import HEIGHT, WIDTH
from tests.helpers.graphs import INTERFACE


def test_half_precision_stays_inside_the_network(
    lowered: ModelProto, image: NDArray[np.uint8], logits: torch.Tensor
) -> None:
    made = to_fp16(lowered, INTERFACE)
    values = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    assert (
        values["classifier.weight"] == TensorProto.FLOAT16
        and values["after.gamma"] == TensorProto.FLOAT
    )
    assert [out.type.tensor_type.elem_type for out in made.graph.output] == [
        TensorProto.UINT8
    ] + 3 * [TensorProto.FLOAT]
    (mask,) = open_session(made.SerializeToString(), 1).run(["mask"], {"image": image})
    expected = F.interpolate(logits, (HEIGHT, WIDTH), mode="bilinear").argmax(1).numpy()
    assert np.mean(mask == expected) > 0.98
