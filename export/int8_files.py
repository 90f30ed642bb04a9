"""The INT8 files of a bundle, for CPUs and for TensorRT, from one calibration.

Which recipe each is made by is found in `edgeseg.export.quantization.recipe_search`.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from onnx import ModelProto

from edgeseg.bundle.flavours import FLAVOURS, FP32, INT8_FLAVOURS, INT8_TRT, Int8Flavour
from edgeseg.bundle.graph_metadata import (
    CALIBRATION_FRAMES_KEY,
    CALIBRATION_KEY,
    FLOAT_CONVOLUTIONS_KEY,
    FLOAT_TENSORS_KEY,
)
from edgeseg.bundle.manifest import CALIBRATION
from edgeseg.calibration.frame_selection import (
    MAX_CANDIDATES,
    calibration_candidates,
    select_frames,
    spread_frames,
)
from edgeseg.export.evaluation.parity import evaluate_graph
from edgeseg.export.evaluation.site_frames import CalibrationImages
from edgeseg.export.evaluation.thresholds import fit_gamma, fit_temperature, frame_scores
from edgeseg.export.export_context import ExportContext
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.onnxruntime_cpu.kernel_report import float_convolutions
from edgeseg.export.quantization import calibration_cache
from edgeseg.export.quantization.activation_statistics import frame_statistics
from edgeseg.export.quantization.quantizer import CalibrationResult, calibrate
from edgeseg.export.quantization.recipe import RecipeResult, SearchContext
from edgeseg.export.quantization.recipe_search import search_recipe
from edgeseg.export.tensorrt.checklist import checklist_summary, run_static_checks
from edgeseg.json_text import to_json
from edgeseg.site import Frame, Site

Figures = dict[str, Any]  # Any: numbers and tables of them
CalibrationRecord = dict[str, Any]  # Any: JSON


def add_int8_files(context: ExportContext) -> None:
    """Search a recipe for each INT8 flavour and add the file that came out best.

    Whether it may ship is decided by `edgeseg.export.bundle_files.apply_gates`.
    """
    site, size, fit = context.site, context.val.size, context.val.fit
    frames = _calibration_frames(context)
    images = CalibrationImages(site, frames, size, fit)
    entries = [_frame_entry(site, frame) for frame in frames]
    calibrated = _calibrate_once(context, images, [entry["sha256"] for entry in entries])
    search_context = SearchContext(
        config=context.config,
        val=context.val,
        class_names=site.config.class_names,
        interface=context.interface,
        reference=wrap_network(context.network, context.interface),
        reference_evaluation=context.evaluations[FP32],
        reference_samples=context.samples,
        calibration_images=images,
        training_images=CalibrationImages(site, site.frames("unlabelled") or frames, size, fit),
        threads=context.threads,
        report=context.report,
    )
    record: CalibrationRecord = {
        "seed": context.config.seed,
        "source": context.source_digest(),
        "frames": entries,
        "flavours": {},
    }
    for flavour in INT8_FLAVOURS:
        search = search_recipe(search_context, calibrated, flavour)
        best = search.best
        interface, threshold_figures = _own_thresholds(context, flavour, best)
        model = best.build_graph(interface, flavour)
        data = context.add_graph(flavour, model, _metadata(best, model, len(frames)))
        context.figures[flavour] = best.figures | threshold_figures
        context.add_reliability(flavour, best.samples, interface.temperature)
        if "checklist" in FLAVOURS[flavour].gates:
            points = run_static_checks(data, context.graph(FP32))
            context.figures[flavour]["checklist"] = checklist_summary(points)
        context.figures[flavour] |= {
            "calibration": best.recipe.name,
            "calibration_frames": len(frames),
            "islands": best.recipe.float_tensors,
            "ladder": search.rows(),
        }
        context.evaluations[flavour] = best.evaluation
        context.add_latencies(search.times)
        record["flavours"][flavour] = _recipe_record(calibrated, best, flavour)
    context.files[CALIBRATION] = (to_json(record, indent=1) + "\n").encode()


def _metadata(result: RecipeResult, model: ModelProto, frames: int) -> dict[str, str]:
    """Return what an INT8 file says of itself."""
    return {
        CALIBRATION_KEY: result.recipe.name,
        CALIBRATION_FRAMES_KEY: str(frames),
        FLOAT_TENSORS_KEY: to_json(result.recipe.float_tensors),
        FLOAT_CONVOLUTIONS_KEY: to_json(float_convolutions(model)),
    }


def _recipe_record(
    calibrated: CalibrationResult, result: RecipeResult, flavour: Int8Flavour
) -> CalibrationRecord:
    """Return what `calibration.json` says of one file."""
    ranges = calibrated.ranges(result.recipe.estimator, signed=flavour == INT8_TRT)
    return {
        "method": result.recipe.name,
        "islands": result.recipe.float_tensors,
        "ranges": {name: [round(low, 7), round(high, 7)] for name, (low, high) in ranges.items()},
    }


def _calibration_frames(context: ExportContext) -> list[Frame]:
    """Choose the frames that set the ranges, by what the float network makes of them if asked."""
    config = context.config
    frames = calibration_candidates(context.site, config.calibration_frames, config.seed)
    if config.calibration in ("spread", "random") and not config.hard_share:
        return select_frames(
            frames, config.calibration_frames, config.calibration, seed=config.seed
        )
    frames = spread_frames(frames, MAX_CANDIDATES, config.seed)
    context.report.start("choosing calibration frames", len(frames))
    statistics = frame_statistics(
        context.network,
        context.interface,
        CalibrationImages(context.site, frames, context.val.size, context.val.fit),
        threads=context.threads,
        report=context.report,
    )
    return select_frames(
        frames,
        config.calibration_frames,
        config.calibration,
        seed=config.seed,
        statistics=statistics,
        hard_share=config.hard_share,
    )


def _calibrate_once(
    context: ExportContext, images: CalibrationImages, digests: list[str]
) -> CalibrationResult:
    """Calibrate, or take the result of an earlier calibration of this network on these frames."""
    folder = context.site.root / "cache" / "calibration"
    key = calibration_cache.cache_key(context.network, context.interface, digests)
    calibrated = calibration_cache.load_calibration(folder, key)
    if calibrated is None:
        calibrated = calibrate(
            context.network,
            context.interface,
            images,
            threads=context.threads,
            report=context.report,
        )
        calibration_cache.store_calibration(folder, key, calibrated)
    return calibrated


def _own_thresholds(
    context: ExportContext, flavour: Int8Flavour, result: RecipeResult
) -> tuple[Interface, Figures]:
    """Fit temperature and gamma on this file, so that its scores mean the same as FP32's.

    Returns:
        The interface with them, and figures about them and about the entropy.
    """
    temperature = fit_temperature(result.samples.logits, result.samples.labels)
    without_gamma = context.interface.with_thresholds(temperature, 0.5)
    graph = result.build_graph(without_gamma, flavour).SerializeToString()
    context.report.start(f"entropy of {flavour}", len(context.val.frames))
    evaluation = evaluate_graph(graph, context.val, context.threads, context.report)
    entropies, float_entropies = evaluation.entropies, context.evaluations[FP32].entropies
    gamma = fit_gamma(entropies, context.config.alpha)
    shift = np.mean(
        [
            np.mean(entropy - float_entropy)
            for entropy, float_entropy in zip(entropies, float_entropies)
        ]
    )
    return context.interface.with_thresholds(temperature, gamma), {
        "temperature": temperature,
        "gamma": gamma,
        "entropy_shift": round(float(shift), 5),
        "unreliable": round(float(frame_scores(entropies, gamma).mean()), 4),
    }


def _frame_entry(site: Site, frame: Frame) -> dict[str, str]:
    digest = hashlib.sha256(site.path(frame.image).read_bytes()).hexdigest()
    return {"id": frame.id, "split": frame.split, "sha256": digest}
