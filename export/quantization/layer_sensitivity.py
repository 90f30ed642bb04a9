"""The sensitivity of the logits to each quantized tensor: a ranking of those that an INT8 file
should leave float, if it must.

As in NNCF's accuracy control, one tensor at a time is put back to float and the result is scored on
the frames that suffer most. That takes a run for each tensor, so a guess from the histograms
decides which are tried at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from edgeseg.bundle.flavours import INT8_TRT, Int8Flavour
from edgeseg.calibration.histogram import INT8_STEPS, UINT8_STEPS, Histogram
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.evaluation.parity import with_logits_output
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.quantization.quantizer import CalibrationResult, quantize
from edgeseg.imaging.array_types import Image
from edgeseg.progress import ProgressReporter

HARDEST_FRAMES = 8  # on which tensors are scored
MAX_CANDIDATES = 24  # tensors that are tried
Logits = NDArray[np.float32]


def rank_sensitive_tensors(
    calibrated: CalibrationResult,
    interface: Interface,
    flavour: Int8Flavour,
    estimator: str,
    images: Sequence[Image],
    reference: ModelProto,
    *,
    threads: int,
    report: ProgressReporter,
) -> list[str]:
    """Return the tensors that help the logits by staying float, the most helpful first.

    Args:
        images: (H, W, 3) uint8 RGB.
        reference: The float graph.
    """
    float_logits = run_logits(reference, images, threads)
    all_int8 = quantize(calibrated, interface, flavour, estimator)
    int8_logits = run_logits(all_int8, images, threads)
    errors = [float(_squared_error(*pair)) for pair in zip(int8_logits, float_logits)]
    hardest = np.argsort(errors)[::-1][:HARDEST_FRAMES]
    hard_images = [images[place] for place in hardest]
    hard_logits = [float_logits[place] for place in hardest]
    error_of_all = float(np.mean([errors[place] for place in hardest]))
    ranges = calibrated.ranges(estimator, signed=flavour == INT8_TRT)
    noise = {
        name: _relative_noise(calibrated.histograms[name], high)
        for name, (_, high) in ranges.items()
    }
    candidates = sorted(noise, key=lambda name: -noise[name])[:MAX_CANDIDATES]
    report.start("which tensors suffer most from INT8", len(candidates))
    scored = []
    for name in candidates:
        model = quantize(calibrated, interface, flavour, estimator, [name])
        logits = run_logits(model, hard_images, threads)
        error = float(np.mean([_squared_error(*pair) for pair in zip(logits, hard_logits)]))
        scored.append((error, name))
        report.advance()
    return [name for error, name in sorted(scored) if error < error_of_all]


def run_logits(model: ModelProto, images: Sequence[Image], threads: int) -> list[Logits]:
    """Return (C, h, w) of each image, from inside a whole graph."""
    session = open_session(with_logits_output(model), threads)
    return [session.run(["logits"], {"image": image[None]})[0][0] for image in images]


def _squared_error(logits: Logits, reference: Logits) -> np.float32:
    error: np.float32 = np.mean((logits - reference) ** 2)
    return error


def _relative_noise(histogram: Histogram, high: float) -> float:
    """Return the mean squared error of a tensor's integers over its mean square."""
    values, counts = histogram.centers, histogram.counts
    energy = float(values**2 @ counts)
    if high == 0.0 or energy == 0.0:
        return 0.0
    step = high / (INT8_STEPS if histogram.has_negative else UINT8_STEPS)
    integers = np.minimum(np.rint(values / step), high / step)
    return float((values - integers * step) ** 2 @ counts) / energy
