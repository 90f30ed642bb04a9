"""The float files of a bundle, their times, and the gates that every file must pass.

The INT8 files are made in `edgeseg.export.int8_files`.
"""

from __future__ import annotations

from edgeseg.bundle.flavours import FLAVOURS, FP16, FP32, GATED, INT8_FLAVOURS, flavours_of
from edgeseg.bundle.manifest import CALIBRATION
from edgeseg.errors import ExportError
from edgeseg.export.evaluation.figures import accuracy_metrics, likelihood_metrics
from edgeseg.export.evaluation.gates import refusal
from edgeseg.export.evaluation.latency import compare_latency
from edgeseg.export.evaluation.parity import evaluate_graph, evaluate_torch, require_parity
from edgeseg.export.evaluation.thresholds import (
    fit_gamma,
    fit_temperature,
    frame_scores,
    log_threshold,
)
from edgeseg.export.export_context import ExportContext
from edgeseg.export.graph.fp16 import to_fp16
from edgeseg.export.graph.pre_post_processing import wrap_network
from edgeseg.models.model_files import LoadedModel


def add_fp32_file(context: ExportContext, model: LoadedModel) -> float:
    """Add model.onnx, and fit temperature, gamma and log threshold on val.

    Returns:
        The log threshold.

    Raises:
        ExportError: No val frame has a labelled pixel, or the file does not agree with torch.
    """
    site, val, report = context.site, context.val, context.report
    report.start("val frames through torch", len(val.frames))
    torch_evaluation, samples = evaluate_torch(model.module, model.card, val, report)
    if not len(samples.labels):
        raise ExportError(
            "no val frame has a labelled pixel; correct the masks and add them again with "
            "`edgeseg add labels`"
        )
    temperature = fit_temperature(samples.logits, samples.labels)

    # gamma is fitted on the entropies of the graph itself; only its score depends on gamma
    report.start("val frames through ONNX", len(val.frames))
    without_gamma = context.interface.with_thresholds(temperature, 0.5)
    graph = wrap_network(context.network, without_gamma).SerializeToString()
    evaluation = evaluate_graph(graph, val, context.threads, report)
    gamma = fit_gamma(evaluation.entropies, context.config.alpha)
    context.interface = context.interface.with_thresholds(temperature, gamma)
    context.samples, context.evaluations[FP32] = samples, evaluation
    context.add_reliability(FP32, samples, temperature)
    context.add_graph(FP32, wrap_network(context.network, context.interface))

    names = site.config.class_names
    figures = accuracy_metrics(evaluation, names, torch_evaluation)
    figures |= likelihood_metrics(samples, temperature)
    context.figures["torch"] = accuracy_metrics(torch_evaluation, names)
    context.figures[FP32] = figures
    require_parity(figures)
    scores = frame_scores(evaluation.entropies, gamma)
    figures["unreliable"] = round(float(scores.mean()), 4)
    return log_threshold(scores)


def add_fp16_file(context: ExportContext) -> None:
    """Add model.fp16.onnx and its figures."""
    graph = context.add_graph(FP16, to_fp16(context.network, context.interface))
    context.report.start(f"val frames through {FLAVOURS[FP16].file}", len(context.val.frames))
    evaluation = evaluate_graph(graph, context.val, context.threads, context.report)
    context.evaluations[FP16] = evaluation
    scores = frame_scores(evaluation.entropies, context.interface.gamma)
    names, reference = context.site.config.class_names, context.evaluations[FP32]
    context.figures[FP16] = accuracy_metrics(evaluation, names, reference) | {
        "unreliable": round(float(scores.mean()), 4)
    }


def measure_latency(context: ExportContext) -> None:
    """Time the files that a CPU runs, unless the search for INT8 recipes did.

    FP16 is emulated on a CPU, so its time would say nothing.
    """
    timed = [flavour for flavour in reversed(flavours_of("cpu")) if context.has(flavour)]
    if all("ms" in context.figures[flavour] for flavour in timed):
        return
    context.report.start("timing", None)
    latencies = compare_latency(
        {flavour: context.graph(flavour) for flavour in timed},
        context.val.image(0),
        context.threads,
        context.config.seed,
        context.report,
    )
    context.add_latencies(latencies)


def apply_gates(context: ExportContext) -> None:
    """Take out the files that must not ship, and keep the reasons."""
    for flavour in GATED:
        if not context.has(flavour):
            continue
        reason = refusal(flavour, context.figures[flavour], context.config)
        if reason:
            context.refused.append(reason)
            context.figures[flavour]["refused"] = reason
            del context.files[FLAVOURS[flavour].file]
    if not any(context.has(flavour) for flavour in INT8_FLAVOURS):
        context.files.pop(CALIBRATION, None)
