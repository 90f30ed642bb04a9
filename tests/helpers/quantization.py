"""The interface and the frames that INT8 graphs are tested with, and plans for Q/DQ placement."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from onnx import ModelProto

from edgeseg.bundle.flavours import Int8Flavour
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.graph.qdq_nodes import QuantizationPlan, QuantizedConv, Ranges
from edgeseg.export.onnxruntime_cpu.normalization_folding import UNIT_STD
from edgeseg.models import MEAN, STD
from tests.helpers.exporting import HEIGHT, WIDTH, picture

PLAIN = Interface(height=HEIGHT, width=WIDTH, classes=3, mean=MEAN, std=STD)
INTERFACE = replace(PLAIN, std=UNIT_STD)  # once `fold_std` has divided the weights by it
FLAVOURS: tuple[Int8Flavour, ...] = ("int8-cpu", "int8-trt")
IMAGES = [picture(seed)[0] for seed in range(6)]


def plan_of(
    model: ModelProto,
    ranges: Ranges,
    layers: Mapping[str, QuantizedConv] | None = None,
    float_tensors: Collection[str] = (),
) -> QuantizationPlan:
    """Return a plan for a network."""
    return QuantizationPlan(AnalyzedNetwork(model), ranges, layers or {}, float_tensors)
