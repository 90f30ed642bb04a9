"""Points 1 to 5 of the TensorRT checklist find the faults that were planted for them."""

from __future__ import annotations

import onnx
import pytest

from edgeseg.errors import ExportError
from edgeseg.export.graph.graph_view import GraphView
from edgeseg.export.tensorrt.checklist import run_static_checks
from tests.helpers.planted.expectations import Expectation, expectations_of
from tests.helpers.planted.tiny_files import tiny_files


@pytest.mark.parametrize("expected", expectations_of(1, 2, 3, 4, 5), ids=str)
def test_a_planted_fault_is_found_by_its_point(expected: Expectation) -> None:
    found = expected.findings()
    assert any(expected.words in sentence for sentence in found), found


def test_files_without_a_fault_have_no_finding() -> None:
    files = tiny_files()
    points = run_static_checks(files.int8, files.fp32)
    assert [point for point in points if point.findings] == []


def test_a_weight_with_too_few_bytes_is_one_sentence() -> None:
    model = onnx.load_model_from_string(tiny_files().int8)
    tensor = next(one for one in model.graph.initializer if len(one.raw_data) > 64)
    tensor.raw_data = tensor.raw_data[:16]
    with pytest.raises(ExportError, match=r"a weight of the file is damaged \(.*export the bundle"):
        GraphView(model.SerializeToString())
