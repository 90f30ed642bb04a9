"""The ladder: ways to make an INT8 file, cheap ones first, until one is accurate and fast enough.

The first recipe already equalizes channels and rounds weights with their inputs in mind, which costs
seconds and is worth several dB (decision 0010). The next ones choose ranges differently, or take
back what the logits are off in the mean. Then the tensors that suffer most stay float, a few more
at each recipe, which costs speed. Last, where it is asked for, the codes are trained.
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
    likelihood_metrics,
)
from edgeseg.export.evaluation.gates import (
    accuracy_faults,
    excess_loss,
    kernel_faults,
    speed_faults,
)
from edgeseg.export.evaluation.latency import Latency, compare_latency
from edgeseg.export.evaluation.parity import evaluate_graph, sample_logits
from edgeseg.export.evaluation.site_frames import ValFrames
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.onnxruntime_cpu.kernel_report import (
    float_convolutions,
    inspect_kernels,
    integer_convolutions,
)
from edgeseg.export.quantization.bias_correction import correct_bias, logits_conv
from edgeseg.export.quantization.layer_sensitivity import rank_sensitive_tensors
from edgeseg.export.quantization.qat import finetune
from edgeseg.export.quantization.quantizer import ESTIMATORS, CalibrationResult, quantize
from edgeseg.progress import ProgressReporter

FLOAT_TENSOR_COUNTS = (1, 2, 4, 8)  # tensors left float
Figures = dict[str, Any]  # Any: see `edgeseg.export.evaluation.figures.accuracy_metrics`


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
    float_tensors: tuple[str, ...] = ()
    bias_corrected: bool = False
    qat_steps: int = 0

    @property
    def name(self) -> str:
        number = len(self.float_tensors)
        more = f", {number} tensor{'s' * (number > 1)} float" if number else ""
        more += ", bias corrected" if self.bias_corrected else ""
        return (
            self.estimator
            + more
            + (f", trained for {self.qat_steps} steps" if self.qat_steps else "")
        )


@dataclass(frozen=True)
class RecipeResult:
    """What came of a recipe.

    Attributes:
        calibrated: what the file is made from.
        outcome: on val.
        samples: of the logits on val.
        seconds: that making and measuring it took.
    """

    recipe: QuantizationRecipe
    calibrated: CalibrationResult
    evaluation: EvaluationResult
    samples: LogitSamples
    figures: Figures
    seconds: float

    def build_graph(self, interface: Interface, flavour: Int8Flavour) -> ModelProto:
        """The whole graph, for these thresholds."""
        return quantize(
            self.calibrated, interface, flavour, self.recipe.estimator, self.recipe.float_tensors
        )


@dataclass(frozen=True)
class SearchContext:
    """What every recipe is measured against.

    Attributes:
        interface: of the float graph, thresholds fitted.
        reference: the float graph; `outcome` and `samples` are what it makes of val.
        images: calibration frames, (H, W, 3) uint8 RGB.
        pool: unlabelled frames to train codes with.
    """

    config: ExportConfig
    val: ValFrames
    class_names: tuple[str, ...]
    interface: Interface
    reference: ModelProto
    reference_evaluation: EvaluationResult
    reference_samples: LogitSamples
    calibration_images: Sequence[NDArray[np.uint8]]
    training_images: Sequence[NDArray[np.uint8]]
    threads: int
    report: ProgressReporter


@dataclass
class SearchResult:
    """How far it got.

    Attributes:
        config: with the gates.
        attempts: in order.
        passed: whether the last one may ship.
        times: of the float file and the last result, by flavour, where they were raced.
    """

    config: ExportConfig
    results: list[RecipeResult] = field(default_factory=list)
    passed: bool = False
    times: dict[Flavour, Latency] = field(default_factory=dict)

    @property
    def best(self) -> RecipeResult:
        """The one that passed, else the one that misses its gates by least, and of equals the one
        that agrees best.
        """
        if self.passed or self.times:
            return self.results[-1]
        return min(
            self.results,
            key=lambda one: (excess_loss(one.figures, self.config), -one.figures["agreement"]),
        )

    def rows(self) -> list[Figures]:
        """Cost and gain of each recipe, for the manifest."""
        keys = ("miou", "drop", "worst_class", "agreement", "sqnr", "integer", "speedup")
        return [
            {"rung": one.recipe.name, "seconds": round(one.seconds, 1)}
            | {key: one.figures[key] for key in keys if key in one.figures}
            for one in self.results
        ]


def search_recipe(
    context: SearchContext, calibrated: CalibrationResult, flavour: Int8Flavour
) -> SearchResult:
    """Try recipe after recipe; stop at the first that passes, or where more rungs cannot help."""
    search = SearchResult(context.config)
    for recipe in _recipes(context, calibrated, flavour, search):
        result = _try_recipe(context, calibrated, flavour, recipe)
        search.results.append(result)
        if accuracy_faults(result.figures, context.config) or kernel_faults(result.figures):
            continue
        if flavour == INT8_CPU:
            _measure_speedup(context, result, search)
        search.passed = not speed_faults(result.figures, context.config)
        break  # accurate enough; should it be too slow, later rungs are slower still
    return search


def _recipes(
    context: SearchContext,
    calibrated: CalibrationResult,
    flavour: Int8Flavour,
    search: SearchResult,
) -> Iterator[QuantizationRecipe]:
    for estimator in ESTIMATORS:
        yield QuantizationRecipe(estimator)
    estimator = search.best.recipe.estimator
    if logits_conv(calibrated, quantize(calibrated, context.interface, flavour, estimator)):
        yield QuantizationRecipe(estimator, bias_corrected=True)
    ranked = rank_sensitive_tensors(
        calibrated,
        context.interface,
        flavour,
        estimator,
        context.calibration_images,
        context.reference,
        threads=context.threads,
        report=context.report,
    )
    corrected = search.best.recipe.bias_corrected
    for number in FLOAT_TENSOR_COUNTS:
        if number <= len(ranked):
            yield QuantizationRecipe(estimator, tuple(ranked[:number]), corrected)
    if context.config.qat:
        yield QuantizationRecipe(estimator, qat_steps=context.config.qat_steps)


def _try_recipe(
    context: SearchContext,
    calibrated: CalibrationResult,
    flavour: Int8Flavour,
    recipe: QuantizationRecipe,
) -> RecipeResult:
    begin = time.perf_counter()
    if recipe.bias_corrected:
        context.report.start(f"correcting the bias of {flavour}", len(context.calibration_images))
        calibrated = correct_bias(
            calibrated,
            context.interface,
            flavour,
            recipe.estimator,
            context.calibration_images,
            recipe.float_tensors,
            threads=context.threads,
            report=context.report,
        )
    if recipe.qat_steps:
        calibrated = finetune(
            calibrated,
            context.interface,
            flavour,
            recipe.estimator,
            context.training_images,
            steps=recipe.qat_steps,
            seed=context.config.seed,
            report=context.report,
        )
    model = quantize(calibrated, context.interface, flavour, recipe.estimator, recipe.float_tensors)
    data = model.SerializeToString()
    context.report.start(f"{flavour}, {recipe.name}", 2 * len(context.val.frames))
    outcome = evaluate_graph(data, context.val, context.threads, context.report)
    samples = sample_logits(model, context.val, context.threads, context.report)
    figures = accuracy_metrics(outcome, context.class_names, context.reference_evaluation)
    figures |= likelihood_metrics(samples, context.interface.temperature, context.reference_samples)
    integer = integer_convolutions(model)
    figures |= {"convolutions": integer + len(float_convolutions(model)), "integer": integer}
    if flavour == INT8_CPU:
        kernels = inspect_kernels(data)
        figures |= {"quantised": kernels.quantized, "conversions": kernels.conversions}
    return RecipeResult(recipe, calibrated, outcome, samples, figures, time.perf_counter() - begin)


def _measure_speedup(context: SearchContext, result: RecipeResult, search: SearchResult) -> None:
    """See how fast the result is."""
    context.report.start("timing", None)
    model = result.build_graph(context.interface, INT8_CPU)
    files: dict[Flavour, bytes] = {
        FP32: context.reference.SerializeToString(),
        INT8_CPU: model.SerializeToString(),
    }
    search.times = compare_latency(
        files, context.val.image(0), context.threads, context.config.seed, context.report
    )
    result.figures["speedup"] = round(search.times[FP32].ratio(search.times[INT8_CPU]), 3)
