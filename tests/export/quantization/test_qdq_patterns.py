"""The Q/DQ nodes in the INT8 files of the students, held to golden tables, which
`tests/helpers/patterns.py` renews.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from onnx import ModelProto

from edgeseg.export.graph.graph_view import GraphView
from edgeseg.export.graph.pre_post_processing import wrap_network
from edgeseg.export.onnxruntime_cpu.kernel_checks import SPARE_CONVERSIONS, needed_conversions
from edgeseg.export.onnxruntime_cpu.kernel_report import inspect_kernels
from edgeseg.export.quantization.quantizer import quantize
from edgeseg.export.tensorrt.checklist import GRAPH_CHECKS
from edgeseg.export.tensorrt.qdq_checks import int8_share
from tests.helpers.patterns import INTERFACE, NETWORKS, golden, pretended, table, trace

TRACED: dict[tuple[str, str], ModelProto] = {}


@pytest.fixture(params=NETWORKS, ids="-".join)
def network(request: pytest.FixtureRequest) -> tuple[tuple[str, str], ModelProto]:
    if request.param not in TRACED:
        TRACED[request.param] = trace(*request.param)
    return request.param, TRACED[request.param]


Named = tuple[tuple[str, str], ModelProto]


@pytest.mark.parametrize("seed", [0, 1])
def test_codes_are_where_the_golden_table_has_them_whatever_the_weights(
    network: Named, seed: int
) -> None:
    name, model = network
    found, held = table(pretended(model, seed)), json.loads(golden(*name).read_text())
    assert changes(held, found) == []


def changes(before: Any, after: Any, path: str = "") -> list[str]:  # Any: JSON
    """What differs, each in one line: short to read where whole tables are not."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [] if before == after else [f"{path}: {before} became {after}"]
    keys = dict.fromkeys([*before, *after])
    return [
        line for key in keys for line in changes(before.get(key), after.get(key), f"{path}/{key}")
    ]


def test_files_pass_the_points_that_need_no_export(network: Named) -> None:
    calibrated = pretended(network[1], 2)
    data = quantize(calibrated, INTERFACE, "int8-trt", "minmax").SerializeToString()
    view, source = (
        GraphView(data),
        GraphView(wrap_network(network[1], INTERFACE).SerializeToString()),
    )
    assert [finding for look in GRAPH_CHECKS for finding in look(view)] == []
    assert int8_share(view) > 0.99
    names = [[node.name for node in graph.convolutions()] for graph in (view, source)]
    assert names[0] == names[1]
    cpu = quantize(calibrated, INTERFACE, "int8-cpu", "minmax").SerializeToString()
    left = inspect_kernels(cpu).conversions - needed_conversions(GraphView(cpu))
    assert 0 <= left <= SPARE_CONVERSIONS
