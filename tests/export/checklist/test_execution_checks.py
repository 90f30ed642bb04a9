"""Point 11 of the TensorRT checklist finds layers and masks that are not as in integers."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto

from edgeseg.export.tensorrt.checklist import CheckedFiles
from tests.helpers.checklist import (
    Plant,
    constant,
    findings,
    integer,
    node_of,
    scales_differ,
    set_constant,
)


def scale_shrunk(model: ModelProto) -> None:
    scale = node_of(model, "QuantizeLinear").input[1]
    set_constant(model, scale, np.float32(0.01) * constant(model, scale))


def bias_moved(model: ModelProto) -> None:
    node = integer(model)
    set_constant(model, node.input[2], constant(model, node.input[2]) + np.float32(30))


PLANTED: list[tuple[int, Plant, str]] = [
    (11, scales_differ, "differs from integers"),
    (11, scale_shrunk, "of the golden pixels"),
    (11, bias_moved, "of the golden pixels"),
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
