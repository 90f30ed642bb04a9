"""Small plans and calibrations to place Q/DQ nodes with."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from onnx import ModelProto

from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.qdq_nodes import QuantizationPlan, QuantizedConv, Ranges


def plan_of(
    model: ModelProto,
    ranges: Ranges,
    layers: Mapping[str, QuantizedConv] | None = None,
    float_tensors: Collection[str] = (),
) -> QuantizationPlan:
    """Return a plan for a network."""
    return QuantizationPlan(AnalyzedNetwork(model), ranges, layers or {}, float_tensors)
