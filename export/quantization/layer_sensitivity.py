"""Which tensors an INT8 file should leave float, if it must: those without whose codes the logits
are closest.

As in NNCF's accuracy control, one tensor at a time is put back to float and the result is scored on
the frames that suffer most. That takes a run for each tensor, so a guess from the histograms
decides which are tried at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from edgeseg.bundle.flavours import INT8_TRT, Int8Flavour
from edgeseg.calibration.observers import INT8_STEPS, UINT8_STEPS, Histogram
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.quantization.quantizer import CalibrationResult, quantize
from edgeseg.imaging.array_types import Image
from edgeseg.progress import ProgressReporter

HARDEST_FRAMES = 8  # frames on which tensors are scored
MAX_CANDIDATES = 24  # tensors
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
    """Tensors in the order in which leaving them float helps; those that do not help are left out.

    Args:
        images: (H, W, 3) uint8 RGB.
        reference: the float graph.
    """
    truth = run_logits(reference, images, threads)
    whole = quantize(calibrated, interface, flavour, estimator)
    errors = [
        float(np.mean((one - other) ** 2))
        for one, other in zip(run_logits(whole, images, threads), truth)
    ]
    hardest = np.argsort(errors)[::-1][:HARDEST_FRAMES]
    chosen, wanted = [images[place] for place in hardest], [truth[place] for place in hardest]
    before = float(np.mean([errors[place] for place in hardest]))
    ranges = calibrated.ranges(estimator, signed=flavour == INT8_TRT)
    noise = {
        name: _noise(calibrated.histograms[name], limits[1]) for name, limits in ranges.items()
    }
    candidates = sorted(noise, key=lambda name: -noise[name])[:MAX_CANDIDATES]
    report.start("which tensors suffer most from INT8", len(candidates))
    scored = []
    for name in candidates:
        found = run_logits(
            quantize(calibrated, interface, flavour, estimator, [name]), chosen, threads
        )
        error = float(np.mean([np.mean((one - other) ** 2) for one, other in zip(found, wanted)]))
        scored.append((error, name))
        report.advance()
    return [name for error, name in sorted(scored) if error < before]


def run_logits(model: ModelProto, images: Sequence[Image], threads: int) -> list[Logits]:
    """(C, h, w) of each image, from inside a whole graph."""
    copy = ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.append(helper.make_empty_tensor_value_info("logits"))
    session = open_session(copy.SerializeToString(), threads)
    return [session.run(["logits"], {"image": image[None]})[0][0] for image in images]


def _noise(histogram: Histogram, high: float) -> float:
    """The mean squared error of the tensor's codes over its mean square."""
    values, counts = histogram.centers, histogram.counts
    energy = float(values**2 @ counts)
    if high == 0.0 or energy == 0.0:
        return 0.0
    step = high / (INT8_STEPS if histogram.has_negative else UINT8_STEPS)
    codes = np.minimum(np.rint(values / step), high / step)
    return float((values - codes * step) ** 2 @ counts) / energy
