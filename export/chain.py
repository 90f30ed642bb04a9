"""The files of a bundle, made one after another and run on the same val frames: FP32, then INT8 and FP16 from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from onnx import ModelProto, helper

from edgeseg.bundle import GRAPHS
from edgeseg.calibration.select import calibration_frames
from edgeseg.config import ExportConfig
from edgeseg.data.dataset import read_frame, resize_image
from edgeseg.errors import BundleError, ExportError
from edgeseg.export.gates import refusal
from edgeseg.export.half import halve
from edgeseg.export.int8 import METHOD, collect_ranges, inspect, quantise
from edgeseg.export.interface import Interface, wrap
from edgeseg.export.speed import race
from edgeseg.export.thresholds import fit_gamma, fit_temperature, log_threshold, scores
from edgeseg.export.verify import Outcome, ValFrames, check_parity, figures, run_graph, run_torch
from edgeseg.graphscan import FLAVOUR_KEY, scan
from edgeseg.models.checkpoint import LoadedModel
from edgeseg.progress import Report
from edgeseg.site import Frame, Site


@dataclass
class Work:
    """What the steps of an export share, and what they have made so far.

    Attributes:
        files: of the bundle, by name.
        figures: of each step, by flavour; see `edgeseg.export.verify.figures`.
        refused: a sentence for each file that failed its gate.
    """

    site: Site
    config: ExportConfig
    val: ValFrames
    network: ModelProto
    interface: Interface
    report: Report
    threads: int
    files: dict[str, bytes] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)  # Any: as ExportResult
    refused: list[str] = field(default_factory=list)


def float_file(work: Work, model: LoadedModel) -> tuple[Outcome, float]:
    """Add model.onnx; fit what is fitted on val.

    Returns:
        What the file makes of val, and the log threshold.
    """
    names = work.site.config.class_names
    work.report.start("val frames through torch", len(work.val.frames))
    torch, logits, labels = run_torch(model.module, model.card, work.val, work.report)
    if not len(labels):
        raise ExportError(
            "no val frame has a labelled pixel; correct the masks and add them again with `edgeseg add labels`"
        )
    temperature = fit_temperature(logits, labels)
    work.report.start("val frames through ONNX", len(work.val.frames))
    unfinished = wrap(work.network, work.interface.with_thresholds(temperature, 0.5)).SerializeToString()
    outcome = run_graph(unfinished, work.val, work.threads, work.report)
    gamma = fit_gamma(outcome.entropies, work.config.alpha)
    work.interface = work.interface.with_thresholds(temperature, gamma)  # only the score depends on gamma
    _add(work, "fp32", wrap(work.network, work.interface), {})
    work.figures["torch"] = figures(torch, names)
    work.figures["fp32"] = figures(outcome, names, torch)
    check_parity(work.figures["fp32"])
    values = scores(outcome.entropies, gamma)
    work.figures["fp32"]["unreliable"] = round(float(values.mean()), 4)
    return outcome, log_threshold(values)


def int8_file(work: Work, reference: Outcome) -> None:
    chosen = calibration_frames(work.site, work.config.calibration_frames, work.config.seed)
    work.report.start("calibrating", len(chosen))
    images = (resize_image(read_frame(work.site, frame)[0], work.val.size) for frame in chosen)
    ranges = collect_ranges(work.network, work.interface, images, threads=work.threads, report=work.report)
    metadata = {
        "edgeseg.source": hashlib.sha256(work.files[GRAPHS["fp32"]]).hexdigest(),
        "edgeseg.calibration": METHOD,
        "edgeseg.calibration_frames": str(len(chosen)),
    }
    data = _add(work, "int8-cpu", quantise(work.network, work.interface, ranges), metadata)
    kernels = inspect(work.network, data)
    _link(work, "int8-cpu", reference)
    work.figures["int8-cpu"] |= {
        "convolutions": kernels.convolutions, "quantised": kernels.quantised, "conversions": kernels.conversions,
        "calibration": METHOD, "calibration_frames": len(chosen),
    }  # fmt: skip
    record = {
        "method": METHOD, "seed": work.config.seed, "source": metadata["edgeseg.source"],
        "frames": [_entry(work.site, frame) for frame in chosen],
        "ranges": {name: [round(low, 7), round(high, 7)] for name, (low, high) in ranges.items()},
    }  # fmt: skip
    work.files["calibration.json"] = (json.dumps(record, indent=1) + "\n").encode()


def _entry(site: Site, frame: Frame) -> dict[str, str]:
    digest = hashlib.sha256(site.path(frame.image).read_bytes()).hexdigest()
    return {"id": frame.id, "split": frame.split, "sha256": digest}


def half_file(work: Work, reference: Outcome) -> None:
    source = hashlib.sha256(work.files[GRAPHS["fp32"]]).hexdigest()
    _add(work, "fp16", halve(work.network, work.interface), {"edgeseg.source": source})
    _link(work, "fp16", reference)


def _add(work: Work, flavour: str, model: ModelProto, metadata: dict[str, str]) -> bytes:
    """Put a graph among the files, once it was found fit for devices."""
    helper.set_model_props(model, {FLAVOUR_KEY: flavour, **metadata})
    data: bytes = model.SerializeToString(deterministic=True)
    try:
        scan(data, name=GRAPHS[flavour], flavour=flavour)
    except BundleError as error:
        raise ExportError(f"devices would refuse the exported graph: {error}") from None
    work.files[GRAPHS[flavour]] = data
    return data


def _link(work: Work, flavour: str, reference: Outcome) -> None:
    """Add the figures of a file that was derived from the FP32 one."""
    work.report.start(f"val frames through {GRAPHS[flavour]}", len(work.val.frames))
    outcome = run_graph(work.files[GRAPHS[flavour]], work.val, work.threads, work.report)
    found = figures(outcome, work.site.config.class_names, reference)
    work.figures[flavour] = found | {
        "unreliable": round(float(scores(outcome.entropies, work.interface.gamma).mean()), 4)
    }


def time_files(work: Work) -> None:
    """Time what a CPU may run; FP16 is emulated there, so its time would say nothing."""
    raced = {flavour: work.files[GRAPHS[flavour]] for flavour in ("fp32", "int8-cpu") if GRAPHS[flavour] in work.files}
    work.report.start("timing", None)
    times = race(raced, work.val.image(0), work.threads, work.config.seed, work.report)
    for flavour, timing in times.items():
        work.figures[flavour] |= {
            "ms": round(timing.minimum, 3),
            "ms_median": round(timing.median, 3),
            "threads": work.threads,
        }
        if flavour != "fp32":
            work.figures[flavour]["speedup"] = round(times["fp32"].over(timing), 3)


def apply_gates(work: Work) -> None:
    """Take out what must not ship, and say why."""
    for flavour in ("int8-cpu", "fp16"):
        name = GRAPHS[flavour]
        why = refusal(name, work.figures[flavour], work.config) if name in work.files else None
        if why:
            work.refused.append(why)
            work.figures[flavour]["refused"] = why
            del work.files[name]
            if flavour == "int8-cpu":
                del work.files["calibration.json"]
