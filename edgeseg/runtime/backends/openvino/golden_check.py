"""The check of a model that OpenVINO compiled: on the golden frames, against FP32 in ONNX Runtime.

INT8 files fit their own threshold of entropy, so their scores differ from FP32's by more than the
entropies do: on three bundles whose INT8 files were computed exactly, masks agreed on 98.9 to
99.7 % of the pixels, entropies were off by 0.01 to 0.02 in the mean, scores by 0.01 to 0.05. FP32
agreed on all pixels, with scores off by 0.0001.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, FP32, Flavour, Precision
from edgeseg.bundle.golden_frames import GoldenFrames, read_golden_frames
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.errors import EngineError
from edgeseg.metrics import pixel_agreement
from edgeseg.runtime.backends.agreement_limits import minimum_agreement
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.backends.engine_cache import EngineEntry
from edgeseg.runtime.backends.openvino.inference_request import run_request

MOST_ENTROPY_ERROR: dict[Precision, float] = {"fp32": 0.005, "int8": 0.05}
MOST_SCORE_ERROR: dict[Precision, float] = {"fp32": 0.01, "int8": 0.12}


@dataclass(frozen=True)
class Differences:
    """How far predictions are from those of FP32.

    Attributes:
        agreement: Percent of the pixels with the same class.
        entropy: The mean difference of entropies, 0..1.
        score: The mean difference of scores, 0..1.
    """

    agreement: float
    entropy: float
    score: float

    @classmethod
    def measure(
        cls, found: Iterable[Prediction], reference: Iterable[Prediction], golden: GoldenFrames
    ) -> Differences:
        """Return the differences on the golden frames.

        Args:
            found: The predictions of one frame each.
            reference: Those of FP32 in ONNX Runtime.
            golden: The frames, with the masks of FP32 at export.
        """
        masks, entropies, scores = [], [], []
        for one, other in zip(found, reference, strict=True):
            masks.append(one.mask[0])
            entropies.append(float(np.abs(one.entropy - other.entropy).mean()))
            scores.append(float(np.abs(one.score - other.score).mean()))
        agreement = pixel_agreement(np.stack(masks), golden.masks)
        return cls(agreement, float(np.mean(entropies)), float(np.mean(scores)))

    def faults(self, precision: Precision, least: float) -> list[str]:
        """Return what is worse than it may be, in words; numbers that are none are too."""
        found = []
        if not self.agreement >= least:
            found.append(f"{self.agreement:.2f} % of the pixels agree, less than {least:.2f} %")
        if not self.entropy <= MOST_ENTROPY_ERROR[precision]:
            limit = MOST_ENTROPY_ERROR[precision]
            found.append(f"entropies are off by {self.entropy:.3f}, more than {limit}")
        if not self.score <= MOST_SCORE_ERROR[precision]:
            limit = MOST_SCORE_ERROR[precision]
            found.append(f"scores are off by {self.score:.3f}, more than {limit}")
        return found


def check_on_golden_frames(
    bundle: Bundle,
    flavour: Flavour,
    model: Any,  # Any: openvino.CompiledModel, which has no types
    parts: dict[str, str],
    *,
    threads: int,
) -> EngineEntry:
    """Return what is to be known of a compiled model: how well it does, or why it is refused.

    Args:
        parts: Its key.
        threads: For the reference.

    Raises:
        EngineError: The bundle brings no golden frames.
        DependencyError: ONNX Runtime, which it is compared with, is not installed.
    """
    golden = read_golden_frames(bundle)
    if golden is None:
        raise EngineError(
            f"{bundle.path} brings no golden frames to check OpenVINO with; export the bundle "
            "again, or use --backend cpu"
        )
    request = model.create_infer_request()
    found = (run_request(request, frame[None]) for frame in golden.frames)
    reference = _reference(bundle, golden, threads)
    differences = Differences.measure(found, reference, golden)
    least = minimum_agreement(bundle, flavour)
    faults = differences.faults(FLAVOURS[flavour].precision, least)
    refused = ""
    if faults:
        refused = (
            f"OpenVINO {parts['openvino']} computes {FLAVOURS[flavour].file} otherwise than ONNX "
            f"Runtime's FP32 on this processor, so it is not used ({'; '.join(faults)}); use "
            "--backend cpu"
        )
    return EngineEntry(parts=parts, refused=refused, agreement=differences.agreement, least=least)


def _reference(bundle: Bundle, golden: GoldenFrames, threads: int) -> Iterator[Prediction]:
    from edgeseg.runtime.backends import onnxruntime_backend  # noqa: PLC0415  # optional

    data = read_verified_graph(bundle, FP32)
    runner = onnxruntime_backend.OnnxRuntimeRunner(
        bundle, data, FP32, "cpu", threads=threads, streams=1
    )
    return (runner(frame[None]) for frame in golden.frames)
