"""The ranking of tensors names those that hurt in INT8."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto

from edgeseg.export.graph.pre_post_processing import wrap_network
from edgeseg.export.quantization.layer_sensitivity import rank_sensitive_tensors, run_logits
from edgeseg.export.quantization.quantizer import CalibrationResult, quantize
from edgeseg.progress import NullReporter
from tests.helpers.quantization import IMAGES, INTERFACE


def test_ranking_names_tensors_that_hurt_in_int8(
    network: ModelProto, calibrated: CalibrationResult
) -> None:
    ranked = rank_sensitive_tensors(
        calibrated,
        INTERFACE,
        "int8-cpu",
        "minmax",
        IMAGES,
        wrap_network(network, INTERFACE),
        threads=1,
        report=NullReporter(),
    )
    assert ranked and set(ranked) <= set(calibrated.histograms)
    whole, without = (
        quantize(calibrated, INTERFACE, "int8-cpu", "minmax", float_tensors)
        for float_tensors in ([], ranked[:2])
    )
    truth = np.stack(run_logits(wrap_network(network, INTERFACE), IMAGES, 1))
    errors = [
        np.mean((np.stack(run_logits(model, IMAGES, 1)) - truth) ** 2) for model in (whole, without)
    ]
    assert errors[1] < errors[0]
