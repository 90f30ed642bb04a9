"""Points 6 to 10 of the TensorRT checklist find the faults that were planted for them."""

from __future__ import annotations

import pytest
from onnx import ModelProto

from edgeseg.export.tensorrt.checklist import CheckedFiles
from tests.helpers.checklist import findings, set_metadata
from tests.helpers.planted.expectations import Expectation, expectations_of
from tests.helpers.planted.qdq_faults import float_weights


@pytest.mark.parametrize("expected", expectations_of(6, 7, 8, 9, 10), ids=str)
def test_a_planted_fault_is_found_by_its_point(expected: Expectation) -> None:
    found = expected.findings()
    assert any(expected.words in sentence for sentence in found), found


def test_without_a_list_of_float_convolutions_coverage_counts(
    trt: ModelProto, files: CheckedFiles
) -> None:
    set_metadata(trt, "edgeseg.float_convolutions", None)
    assert findings(trt, files, 10) == ()
    for _ in range(8):
        float_weights(trt)
    assert "of the multiply-adds are in INT8, less than 95 %" in findings(trt, files, 10)[0]
