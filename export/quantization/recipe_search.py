"""The ladder: ways to make an INT8 file, cheap ones first, until one is accurate and fast enough.

The first rung already equalizes channels and rounds weights with their inputs in mind, which costs
seconds and is worth several dB (decision 0010). The next ones choose ranges differently, or take
back what the logits are off in the mean. Then the tensors that suffer most stay float, a few more
at each rung, which costs speed. Last, where it is asked for, the codes are trained.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from edgeseg.bundle.flavours import FP32, INT8_CPU, Flavour, Int8Flavour
from edgeseg.config import ExportConfig
from edgeseg.export.evaluation.figures import (
    EvaluationResult,
    LogitSamples,
    accuracy_metrics,
    likelihood_figures,
)
from edgeseg.export.evaluation.gates import (
    accuracy_faults,
    excess_loss,
    kernel_faults,
    speed_faults,
)
from edgeseg.export.evaluation.latency import Timing, compare_latency
from edgeseg.export.evaluation.parity import ValFrames, run_graph, sample_logits
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.onnxruntime_cpu.kernel_report import (
    float_convolutions,
    inspect,
    integer_convolutions,
)
from edgeseg.export.quantization.bias_correction import correct_bias, last_layer
from edgeseg.export.quantization.layer_sensitivity import rank_islands
from edgeseg.export.quantization.qat import finetune
from edgeseg.export.quantization.quantizer import ESTIMATORS, CalibrationResult, quantize
from edgeseg.progress import ProgressReporter

ISLANDS = (1, 2, 4, 8)  # tensors left float
Figures = dict[str, Any]  # Any: see `edgeseg.export.evaluation.figures.figures`


@dataclass(frozen=True)
class QuantizationRecipe:
    """One way to make the file.

    Attributes:
        estimator: of the ranges.
        islands: tensors that stay float.
        corrected: whether the bias of the last layer is.
        trained: steps that the codes were trained for.
    """

    estimator: str
    islands: tuple[str, ...] = ()
    corrected: bool = False
    trained: int = 0

    @property
    def name(self) -> str:
        number = len(self.islands)
        more = f", {number} tensor{'s' * (number > 1)} float" if number else ""
        more += ", bias corrected" if self.corrected else ""
        return (
            self.estimator + more + (f", trained for {self.trained} steps" if self.trained else "")
        )


@dataclass(frozen=True)
class RecipeResult:
    """What came of a rung.

    Attributes:
        calibrated: what the file is made from.
        outcome: on val.
        samples: of the logits on val.
        seconds: that making and measuring it took.
    """

    rung: QuantizationRecipe
    calibrated: CalibrationResult
    outcome: EvaluationResult
    samples: LogitSamples
    figures: Figures
    seconds: float

    def file(self, interface: Interface, flavour: Int8Flavour) -> ModelProto:
        """The whole graph, for these thresholds."""
        return quantize(self.calibrated, interface, flavour, self.rung.estimator, self.rung.islands)


@dataclass(frozen=True)
class SearchContext:
    """What every rung is measured against.

    Attributes:
        interface: of the float graph, thresholds fitted.
        reference: the float graph; `outcome` and `samples` are what it makes of val.
        images: calibration frames, (H, W, 3) uint8 RGB.
        pool: unlabelled frames to train codes with.
    """

    config: ExportConfig
    val: ValFrames
    names: tuple[str, ...]
    interface: Interface
    reference: ModelProto
    outcome: EvaluationResult
    samples: LogitSamples
    images: Sequence[NDArray[np.uint8]]
    pool: Sequence[NDArray[np.uint8]]
    threads: int
    report: ProgressReporter


@dataclass
class SearchResult:
    """How far it got.

    Attributes:
        config: with the gates.
        attempts: in order.
        passed: whether the last one may ship.
        times: of the float file and the last attempt, by flavour, where they were raced.
    """

    config: ExportConfig
    attempts: list[RecipeResult] = field(default_factory=list)
    passed: bool = False
    times: dict[Flavour, Timing] = field(default_factory=dict)

    @property
    def best(self) -> RecipeResult:
        """The one that passed, else the one that misses its gates by least, and of equals the one
        that agrees best.
        """
        if self.passed or self.times:
            return self.attempts[-1]
        return min(
            self.attempts,
            key=lambda one: (excess_loss(one.figures, self.config), -one.figures["agreement"]),
        )

    def rows(self) -> list[Figures]:
        """Cost and gain of each rung, for the manifest."""
        keys = ("miou", "drop", "worst_class", "agreement", "sqnr", "integer", "speedup")
        return [
            {"rung": one.rung.name, "seconds": round(one.seconds, 1)}
            | {key: one.figures[key] for key in keys if key in one.figures}
            for one in self.attempts
        ]


def search_recipe(
    ground: SearchContext, calibrated: CalibrationResult, flavour: Int8Flavour
) -> SearchResult:
    """Try rung after rung; stop at the first that passes, or where more rungs cannot help."""
    found = SearchResult(ground.config)
    for rung in _rungs(ground, calibrated, flavour, found):
        attempt = _try(ground, calibrated, flavour, rung)
        found.attempts.append(attempt)
        if accuracy_faults(attempt.figures, ground.config) or kernel_faults(attempt.figures):
            continue
        if flavour == INT8_CPU:
            _race(ground, attempt, found)
        found.passed = not speed_faults(attempt.figures, ground.config)
        break  # accurate enough; should it be too slow, later rungs are slower still
    return found


def _rungs(
    ground: SearchContext, calibrated: CalibrationResult, flavour: Int8Flavour, so_far: SearchResult
) -> Iterator[QuantizationRecipe]:
    for estimator in ESTIMATORS:
        yield QuantizationRecipe(estimator)
    estimator = so_far.best.rung.estimator
    if last_layer(calibrated, quantize(calibrated, ground.interface, flavour, estimator)):
        yield QuantizationRecipe(estimator, corrected=True)
    ranked = rank_islands(
        calibrated,
        ground.interface,
        flavour,
        estimator,
        ground.images,
        ground.reference,
        threads=ground.threads,
        report=ground.report,
    )
    corrected = so_far.best.rung.corrected
    for number in ISLANDS:
        if number <= len(ranked):
            yield QuantizationRecipe(estimator, tuple(ranked[:number]), corrected)
    if ground.config.qat:
        yield QuantizationRecipe(estimator, trained=ground.config.qat_steps)


def _try(
    ground: SearchContext,
    calibrated: CalibrationResult,
    flavour: Int8Flavour,
    rung: QuantizationRecipe,
) -> RecipeResult:
    begin = time.perf_counter()
    if rung.corrected:
        ground.report.start(f"correcting the bias of {flavour}", len(ground.images))
        calibrated = correct_bias(
            calibrated,
            ground.interface,
            flavour,
            rung.estimator,
            ground.images,
            rung.islands,
            threads=ground.threads,
            report=ground.report,
        )
    if rung.trained:
        calibrated = finetune(
            calibrated,
            ground.interface,
            flavour,
            rung.estimator,
            ground.pool,
            steps=rung.trained,
            seed=ground.config.seed,
            report=ground.report,
        )
    model = quantize(calibrated, ground.interface, flavour, rung.estimator, rung.islands)
    data = model.SerializeToString()
    ground.report.start(f"{flavour}, {rung.name}", 2 * len(ground.val.frames))
    outcome = run_graph(data, ground.val, ground.threads, ground.report)
    samples = sample_logits(model, ground.val, ground.threads, ground.report)
    found = accuracy_metrics(outcome, ground.names, ground.outcome)
    found |= likelihood_figures(samples, ground.interface.temperature, ground.samples)
    integer = integer_convolutions(model)
    found |= {"convolutions": integer + len(float_convolutions(model)), "integer": integer}
    if flavour == INT8_CPU:
        kernels = inspect(data)
        found |= {"quantised": kernels.quantized, "conversions": kernels.conversions}
    return RecipeResult(rung, calibrated, outcome, samples, found, time.perf_counter() - begin)


def _race(ground: SearchContext, attempt: RecipeResult, found: SearchResult) -> None:
    """See how fast the attempt is."""
    ground.report.start("timing", None)
    model = attempt.file(ground.interface, INT8_CPU)
    files: dict[Flavour, bytes] = {
        FP32: ground.reference.SerializeToString(),
        INT8_CPU: model.SerializeToString(),
    }
    found.times = compare_latency(
        files, ground.val.image(0), ground.threads, ground.config.seed, ground.report
    )
    attempt.figures["speedup"] = round(found.times[FP32].over(found.times[INT8_CPU]), 3)
