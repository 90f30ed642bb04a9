"""One small network, its calibration and its INT8 graphs for all tests of the export."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import ModelProto

from edgeseg.bundle.flavours import Int8Flavour
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.onnxruntime_cpu.normalization_folding import fold_std
from edgeseg.export.quantization.quantizer import CalibrationResult, calibrate, quantize
from edgeseg.models import build_network
from tests.helpers.exporting import ENCODER, HEIGHT, WIDTH
from tests.helpers.quantization import FLAVOURS, IMAGES, INTERFACE, PLAIN


@pytest.fixture(scope="session")
def network() -> ModelProto:
    torch.manual_seed(0)
    made = build_network("deeplabv3plus", ENCODER, 3)
    made.train()
    with (
        torch.no_grad()
    ):  # batch norms learn the statistics of these frames, without which activations would vanish
        batch = torch.from_numpy(np.stack(IMAGES)).permute(0, 3, 1, 2).float() / 255
        for _ in range(10):
            made((batch - 0.45) / 0.22)
    return fold_std(canonicalize_names(lower(export_network(made.eval(), HEIGHT, WIDTH))), PLAIN)[0]


@pytest.fixture(scope="session")
def calibrated(network: ModelProto) -> CalibrationResult:
    return calibrate(network, INTERFACE, IMAGES, threads=1)


@pytest.fixture(scope="session")
def int8_graphs(calibrated: CalibrationResult) -> dict[Int8Flavour, ModelProto]:
    return {flavour: quantize(calibrated, INTERFACE, flavour) for flavour in FLAVOURS}


@pytest.fixture(scope="session")
def cpu_graph(int8_graphs: dict[Int8Flavour, ModelProto]) -> ModelProto:
    return int8_graphs["int8-cpu"]
