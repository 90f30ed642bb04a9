"""The files of a bundle, made one after another and run on the same val frames: FP32, then INT8 and
FP16 from it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from edgeseg.bundle.flavours import (
    FLAVOURS,
    FP16,
    FP32,
    GATED,
    INT8_FLAVOURS,
    INT8_TRT,
    Flavour,
    Int8Flavour,
    flavours_of,
)
from edgeseg.bundle.graph_metadata import (
    CALIBRATION_FRAMES_KEY,
    CALIBRATION_KEY,
    FLAVOUR_KEY,
    FLOAT_CONVOLUTIONS_KEY,
    FLOAT_TENSORS_KEY,
    SOURCE_KEY,
)
from edgeseg.bundle.manifest import CALIBRATION
from edgeseg.bundle.onnx_scan import scan_onnx
from edgeseg.calibration.frame_selection import (
    MAX_CANDIDATES,
    calibration_candidates,
    select_frames,
    spread_frames,
)
from edgeseg.config import ExportConfig
from edgeseg.errors import BundleError, ExportError
from edgeseg.export.evaluation.figures import (
    EvaluationResult,
    LogitSamples,
    accuracy_metrics,
    likelihood_metrics,
)
from edgeseg.export.evaluation.gates import refusal
from edgeseg.export.evaluation.latency import Latency, compare_latency
from edgeseg.export.evaluation.parity import (
    CalibrationImages,
    ValFrames,
    evaluate_graph,
    evaluate_torch,
    require_parity,
)
from edgeseg.export.evaluation.thresholds import (
    fit_gamma,
    fit_temperature,
    frame_scores,
    log_threshold,
)
from edgeseg.export.graph.fp16 import to_fp16
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.onnxruntime_cpu.kernel_report import float_convolutions
from edgeseg.export.quantization import calibration_cache
from edgeseg.export.quantization.activation_statistics import frame_statistics
from edgeseg.export.quantization.quantizer import CalibrationResult, calibrate
from edgeseg.export.quantization.recipe_search import RecipeResult, SearchContext, search_recipe
from edgeseg.export.tensorrt.checklist import checklist_summary, run_static_checks
from edgeseg.models.model_files import LoadedModel
from edgeseg.progress import ProgressReporter
from edgeseg.site import Frame, Site


@dataclass
class ExportContext:
    """What the steps of an export share, and what they have made so far.

    Attributes:
        files: of the bundle, by name.
        figures: of each step, by flavour; see `edgeseg.export.evaluation.figures.accuracy_metrics`.
        refused: a sentence for each file that failed its gate.
        outcomes: on val, by flavour.
        samples: of the float logits on val.
    """

    site: Site
    config: ExportConfig
    val: ValFrames
    network: ModelProto
    interface: Interface
    report: ProgressReporter
    threads: int
    files: dict[str, bytes] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)  # Any: as ExportResult
    refused: list[str] = field(default_factory=list)
    outcomes: dict[str, EvaluationResult] = field(default_factory=dict)
    samples: LogitSamples = field(init=False)


def add_fp32_file(work: ExportContext, model: LoadedModel) -> float:
    """Add model.onnx; fit what is fitted on val.

    Returns:
        The log threshold.
    """
    names = work.site.config.class_names
    work.report.start("val frames through torch", len(work.val.frames))
    torch, samples = evaluate_torch(model.module, model.card, work.val, work.report)
    if not len(samples.labels):
        raise ExportError(
            "no val frame has a labelled pixel; correct the masks and add them again with `edgeseg add labels`"
        )
    temperature = fit_temperature(samples.logits, samples.labels)
    work.report.start("val frames through ONNX", len(work.val.frames))
    unfinished = wrap_network(
        work.network, work.interface.with_thresholds(temperature, 0.5)
    ).SerializeToString()
    outcome = evaluate_graph(unfinished, work.val, work.threads, work.report)
    work.samples, work.outcomes[FP32] = samples, outcome
    gamma = fit_gamma(outcome.entropies, work.config.alpha)
    work.interface = work.interface.with_thresholds(
        temperature, gamma
    )  # only the score depends on gamma
    _add(work, FP32, wrap_network(work.network, work.interface), {})
    work.figures["torch"] = accuracy_metrics(torch, names)
    work.figures[FP32] = accuracy_metrics(outcome, names, torch) | likelihood_metrics(
        samples, temperature
    )
    require_parity(work.figures[FP32])
    values = frame_scores(outcome.entropies, gamma)
    work.figures[FP32]["unreliable"] = round(float(values.mean()), 4)
    return log_threshold(values)


def add_int8_files(work: ExportContext) -> None:
    """Climb the ladder for each flavour and add what is best; whether it may ship is for
    `apply_gates`.
    """
    chosen = _calibration_frames(work)
    images = CalibrationImages(work.site, chosen, work.val.size)
    footage = CalibrationImages(work.site, work.site.frames("unlabelled") or chosen, work.val.size)
    entries = [_entry(work.site, frame) for frame in chosen]
    calibrated = _calibrated(work, images, [entry["sha256"] for entry in entries])
    ground = SearchContext(
        work.config,
        work.val,
        work.site.config.class_names,
        work.interface,
        wrap_network(work.network, work.interface),
        work.outcomes[FP32],
        work.samples,
        images,
        footage,
        work.threads,
        work.report,
    )
    source = hashlib.sha256(work.files[FLAVOURS[FP32].file]).hexdigest()
    record: dict[str, Any] = {
        "seed": work.config.seed,
        "source": source,
        "frames": entries,
    }  # Any: JSON
    record["flavours"] = {}
    for flavour in INT8_FLAVOURS:
        found = search_recipe(ground, calibrated, flavour)
        rung = found.best.recipe
        interface, extra = _own_thresholds(work, flavour, found.best)
        model = found.best.build_graph(interface, flavour)
        metadata = {
            SOURCE_KEY: source,
            CALIBRATION_KEY: rung.name,
            CALIBRATION_FRAMES_KEY: str(len(chosen)),
            FLOAT_TENSORS_KEY: json.dumps(rung.float_tensors),
            FLOAT_CONVOLUTIONS_KEY: json.dumps(float_convolutions(model)),
        }
        data = _add(work, flavour, model, metadata)
        if "checklist" in FLAVOURS[flavour].gates:
            extra["checklist"] = checklist_summary(
                run_static_checks(data, work.files[FLAVOURS[FP32].file])
            )
        work.figures[flavour] = (
            found.best.figures
            | extra
            | {
                "calibration": rung.name,
                "calibration_frames": len(chosen),
                "islands": rung.float_tensors,
                "ladder": found.rows(),
            }
        )
        work.outcomes[flavour] = found.best.evaluation
        _note_times(work, found.times)
        ranges = calibrated.ranges(rung.estimator, signed=flavour == INT8_TRT)
        record["flavours"][flavour] = {
            "method": rung.name,
            "islands": rung.float_tensors,
            "ranges": {
                name: [round(low, 7), round(high, 7)] for name, (low, high) in ranges.items()
            },
        }
    work.files[CALIBRATION] = (json.dumps(record, indent=1) + "\n").encode()


def _calibration_frames(work: ExportContext) -> list[Frame]:
    config = work.config
    frames = calibration_candidates(work.site, config.calibration_frames, config.seed)
    if config.calibration in ("spread", "random") and not config.hard_share:
        return select_frames(
            frames, config.calibration_frames, config.calibration, seed=config.seed
        )
    frames = spread_frames(frames, MAX_CANDIDATES, config.seed)
    work.report.start("choosing calibration frames", len(frames))
    images = CalibrationImages(work.site, frames, work.val.size)
    seen = frame_statistics(
        work.network, work.interface, images, threads=work.threads, report=work.report
    )
    return select_frames(
        frames,
        config.calibration_frames,
        config.calibration,
        seed=config.seed,
        statistics=seen,
        hard_share=config.hard_share,
    )


def _calibrated(
    work: ExportContext, images: CalibrationImages, digests: list[str]
) -> CalibrationResult:
    folder = work.site.root / "cache" / "calibration"
    name = calibration_cache.cache_key(work.network, work.interface, digests)
    found = calibration_cache.load_calibration(folder, name)
    if found is None:
        found = calibrate(
            work.network, work.interface, images, threads=work.threads, report=work.report
        )
        calibration_cache.store_calibration(folder, name, found)
    return found


def _own_thresholds(
    work: ExportContext, flavour: Int8Flavour, attempt: RecipeResult
) -> tuple[Interface, dict[str, Any]]:  # Any: as Work.figures
    """Temperature and gamma as this file needs them for its scores to mean the same, and what they
    make of entropy.
    """
    temperature = fit_temperature(attempt.samples.logits, attempt.samples.labels)
    model = attempt.build_graph(work.interface.with_thresholds(temperature, 0.5), flavour)
    work.report.start(f"entropy of {flavour}", len(work.val.frames))
    entropies = evaluate_graph(
        model.SerializeToString(), work.val, work.threads, work.report
    ).entropies
    gamma = fit_gamma(entropies, work.config.alpha)
    shift = np.mean(
        [np.mean(one - other) for one, other in zip(entropies, work.outcomes[FP32].entropies)]
    )
    return work.interface.with_thresholds(temperature, gamma), {
        "temperature": temperature,
        "gamma": gamma,
        "entropy_shift": round(float(shift), 5),
        "unreliable": round(float(frame_scores(entropies, gamma).mean()), 4),
    }


def _entry(site: Site, frame: Frame) -> dict[str, str]:
    digest = hashlib.sha256(site.path(frame.image).read_bytes()).hexdigest()
    return {"id": frame.id, "split": frame.split, "sha256": digest}


def add_fp16_file(work: ExportContext) -> None:
    source = hashlib.sha256(work.files[FLAVOURS[FP32].file]).hexdigest()
    _add(work, FP16, to_fp16(work.network, work.interface), {SOURCE_KEY: source})
    _link(work, FP16)


def _add(
    work: ExportContext, flavour: Flavour, model: ModelProto, metadata: dict[str, str]
) -> bytes:
    """Put a graph among the files, once it was found fit for devices."""
    helper.set_model_props(model, {FLAVOUR_KEY: flavour, **metadata})
    data: bytes = model.SerializeToString(deterministic=True)
    try:
        scan_onnx(data, name=FLAVOURS[flavour].file, flavour=flavour)
    except BundleError as error:
        raise ExportError(f"devices would refuse the exported graph: {error}") from None
    work.files[FLAVOURS[flavour].file] = data
    return data


def _link(work: ExportContext, flavour: Flavour) -> None:
    """Add the figures of a file that was derived from the FP32 one."""
    work.report.start(f"val frames through {FLAVOURS[flavour].file}", len(work.val.frames))
    outcome = work.outcomes[flavour] = evaluate_graph(
        work.files[FLAVOURS[flavour].file], work.val, work.threads, work.report
    )
    found = accuracy_metrics(outcome, work.site.config.class_names, work.outcomes[FP32])
    work.figures[flavour] = found | {
        "unreliable": round(float(frame_scores(outcome.entropies, work.interface.gamma).mean()), 4)
    }


def measure_latency(work: ExportContext) -> None:
    """Time what a CPU may run and was not timed yet; FP16 is emulated there, so its time would say
    nothing.
    """
    wanted = [
        flavour for flavour in reversed(flavours_of("cpu")) if FLAVOURS[flavour].file in work.files
    ]
    if all("ms" in work.figures[flavour] for flavour in wanted):
        return
    work.report.start("timing", None)
    raced = {flavour: work.files[FLAVOURS[flavour].file] for flavour in wanted}
    _note_times(
        work, compare_latency(raced, work.val.image(0), work.threads, work.config.seed, work.report)
    )


def _note_times(work: ExportContext, times: dict[Flavour, Latency]) -> None:
    for flavour, timing in times.items():
        work.figures[flavour] |= {
            "ms": round(timing.minimum, 3),
            "ms_median": round(timing.median, 3),
            "threads": work.threads,
        }
        if flavour != FP32:
            work.figures[flavour]["speedup"] = round(times[FP32].over(timing), 3)


def apply_gates(work: ExportContext) -> None:
    """Take out what must not ship, and say why."""
    for flavour in GATED:
        name = FLAVOURS[flavour].file
        why = refusal(flavour, work.figures[flavour], work.config) if name in work.files else None
        if why:
            work.refused.append(why)
            work.figures[flavour]["refused"] = why
            del work.files[name]
    if not any(FLAVOURS[flavour].file in work.files for flavour in INT8_FLAVOURS):
        work.files.pop(CALIBRATION, None)
