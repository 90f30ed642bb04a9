"""The search for a quantization recipe: cheap ones first, until one is accurate and fast enough.

The first recipe already equalizes channels and rounds weights with their inputs in mind, which
costs seconds and is worth several dB (decision 0010). The next ones choose ranges differently, or
correct the bias of the logits. Then the tensors that suffer most stay float, a few more with each
recipe, which costs speed. Last, where it is asked for, the integers are trained.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from edgeseg.bundle.flavours import FP32, INT8_CPU, Flavour, Int8Flavour
from edgeseg.calibration.registry import ESTIMATORS
from edgeseg.export.evaluation.figures import accuracy_metrics, likelihood_metrics
from edgeseg.export.evaluation.gates import accuracy_faults, kernel_faults, speed_faults
from edgeseg.export.evaluation.latency import compare_latency
from edgeseg.export.evaluation.parity import evaluate_graph, sample_logits
from edgeseg.export.onnxruntime_cpu.kernel_report import (
    float_convolutions,
    inspect_kernels,
    integer_convolutions,
)
from edgeseg.export.quantization.bias_correction import correct_bias, logits_conv
from edgeseg.export.quantization.layer_sensitivity import rank_sensitive_tensors
from edgeseg.export.quantization.qat import finetune
from edgeseg.export.quantization.quantizer import CalibrationResult, quantize
from edgeseg.export.quantization.recipe import (
    QuantizationRecipe,
    RecipeResult,
    SearchContext,
    SearchResult,
)

FLOAT_TENSOR_COUNTS = (1, 2, 4, 8)  # of the recipes that leave tensors float


def search_recipe(
    context: SearchContext, calibrated: CalibrationResult, flavour: Int8Flavour
) -> SearchResult:
    """Try one recipe after another; stop at the first that passes, or where no more can help."""
    search = SearchResult(context.config)
    for recipe in _recipes(context, calibrated, flavour, search):
        result = _try_recipe(context, calibrated, flavour, recipe)
        search.results.append(result)
        if accuracy_faults(result.figures, context.config) or kernel_faults(result.figures):
            continue
        if flavour == INT8_CPU:
            _measure_speedup(context, result, search)
        search.passed = not speed_faults(result.figures, context.config)
        break  # accurate enough; should it be too slow, later recipes are slower still
    return search


def _recipes(
    context: SearchContext,
    calibrated: CalibrationResult,
    flavour: Int8Flavour,
    search: SearchResult,
) -> Iterator[QuantizationRecipe]:
    """Yield the recipes in order; later ones build on the best of those in `search`."""
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
    bias_corrected = search.best.recipe.bias_corrected
    for number in FLOAT_TENSOR_COUNTS:
        if number <= len(ranked):
            yield QuantizationRecipe(estimator, tuple(ranked[:number]), bias_corrected)
    if context.config.qat:
        yield QuantizationRecipe(estimator, qat_steps=context.config.qat_steps)


def _try_recipe(
    context: SearchContext,
    calibrated: CalibrationResult,
    flavour: Int8Flavour,
    recipe: QuantizationRecipe,
) -> RecipeResult:
    """Make the file, run val through it and compare it with the float graph."""
    begin = time.perf_counter()
    calibrated = _apply_training_and_correction(context, calibrated, flavour, recipe)
    model = quantize(calibrated, context.interface, flavour, recipe.estimator, recipe.float_tensors)
    data = model.SerializeToString()
    context.report.start(f"{flavour}, {recipe.name}", 2 * len(context.val.frames))
    evaluation = evaluate_graph(data, context.val, context.threads, context.report)
    samples = sample_logits(model, context.val, context.threads, context.report)
    figures = accuracy_metrics(evaluation, context.class_names, context.reference_evaluation)
    figures |= likelihood_metrics(samples, context.interface.temperature, context.reference_samples)
    integer = integer_convolutions(model)
    figures |= {"convolutions": integer + len(float_convolutions(model)), "integer": integer}
    if flavour == INT8_CPU:
        kernels = inspect_kernels(data)
        figures |= {"quantised": kernels.quantized, "conversions": kernels.conversions}
    seconds = time.perf_counter() - begin
    return RecipeResult(recipe, calibrated, evaluation, samples, figures, seconds)


def _apply_training_and_correction(
    context: SearchContext,
    calibrated: CalibrationResult,
    flavour: Int8Flavour,
    recipe: QuantizationRecipe,
) -> CalibrationResult:
    """Return the calibration with the layers that a recipe changes."""
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
    return calibrated


def _measure_speedup(context: SearchContext, result: RecipeResult, search: SearchResult) -> None:
    """Time the float file and the result in turns, and note the speedup in its figures."""
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
