"""TensorRT for RTX: engines of a fresh bundle, run where the GPU is served, else only built."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu.findings import Finding, Skip
from benchmarks.gpu.isolation import Part
from benchmarks.gpu.scene import make_site
from benchmarks.gpu.settings import Settings
from edgeseg.bundle import Bundle
from edgeseg.bundle.flavours import Flavour
from edgeseg.bundle.golden_frames import read_golden_frames
from edgeseg.bundle.graph_signature import GraphSignature
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.config import EngineConfig, ExportConfig, TrainConfig, validate_config
from edgeseg.export.exporter import export
from edgeseg.runtime.backends.agreement_limits import minimum_agreement
from edgeseg.runtime.backends.base import PrecisionChoice
from edgeseg.runtime.backends.flavour_choice import choose_flavour
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.backends.tensorrt.building.build_recipe import BuildRecipe
from edgeseg.runtime.backends.tensorrt.building.engine_builder import build_engine
from edgeseg.runtime.backends.tensorrt.building.messages import TensorRTMessages
from edgeseg.runtime.backends.tensorrt.libraries import LIBRARIES, full_name, import_library
from edgeseg.runtime.backends.tensorrt.version_differences import compute_capabilities
from edgeseg.site import Site
from edgeseg.training.train import train

SITE, RUN = "export-site", "edge-run"  # below the folder of all measurements
EXPORT = "export"
PRECISIONS: dict[str, PrecisionChoice] = {"fp32": "fp32", "fp16": "fp16", "int8": "int8"}
EDGE_NETWORK, REHEARSED = ("deeplabv3plus", "mobilenetv2_100"), ("lraspp", "resnet10t")
EDGE_SIDE = 256
TRAINING_STEPS, TIMED_FRAMES = 60, 100


def items(settings: Settings) -> Sequence[str]:
    """The export first, then engines; those that need a calibration last, on a GPU only."""
    return [EXPORT, "fp32"] if settings.rehearse else [EXPORT, *PRECISIONS]


def measure(item: str, settings: Settings) -> Finding:
    """Export the float files of a bundle, or build and run the engine of one file."""
    folder = settings.folder / "bundle"
    if item == EXPORT:
        return _export(_train(settings), folder, settings)
    library = LIBRARIES["tensorrt-rtx"]
    if not library.is_installed():
        raise Skip("tensorrt_rtx is not installed")
    precision = PRECISIONS[item]
    served = compute_capabilities(import_library(library))
    if precision == "int8":
        folder = settings.folder / "int8-bundle"
        _export(settings.folder / RUN, folder, settings, int8=True)
    bundle = Bundle.open(folder)
    if settings.rehearse:
        return _build(bundle, precision, served[:1], "a CPU")
    compute = ".".join(map(str, torch.cuda.get_device_capability()))
    if compute not in served:
        return _build(bundle, precision, served, compute)
    return _run(bundle, precision, compute, settings)


def _train(settings: Settings) -> Path:
    """An edge model that knows its colors; how accurate it is is not the question."""
    side = settings.side if settings.rehearse else EDGE_SIDE
    site = make_site(settings.folder / SITE, side, val=4)
    arch, encoder = REHEARSED if settings.rehearse else EDGE_NETWORK
    values = {
        "method": "suponly",
        "arch": arch,
        "encoder": encoder,
        "weights": "none",
        "imgsz": side,
        "steps": 1 if settings.rehearse else TRAINING_STEPS,
        "eval_every": TRAINING_STEPS,
        "precision": "32",
        "device": settings.device.type,
    }
    config = validate_config(TrainConfig, values, "gpu_check")
    return train(site, config, settings.folder / RUN).path


def _export(run: Path, folder: Path, settings: Settings, *, int8: bool = False) -> Finding:
    """Float files, or with `int8` the INT8 ones too, whatever accuracy these lose."""
    values = {
        "int8": int8,
        "half": not settings.rehearse,
        "max_drop": 100,
        "max_class_drop": 100,
        "min_speedup": 0,
    }
    site = Site.open(settings.folder / SITE)
    result = export(site, validate_config(ExportConfig, values, "gpu_check"), run, folder)
    names = sorted(Bundle.open(folder).manifest.files)
    return Finding(not result.refused, ", ".join(result.refused or names), {"files": names})


def _build(
    bundle: Bundle, precision: PrecisionChoice, targets: Sequence[str], present: str
) -> Finding:
    """Build for GPUs that are not here."""
    trt = import_library(LIBRARIES["tensorrt-rtx"])
    flavour, data = _graph(bundle, precision)
    signature, seconds = GraphSignature.of(bundle.manifest), {}
    for target in targets:
        messages, began = TensorRTMessages(lambda text: None), time.perf_counter()
        recipe = BuildRecipe.of(trt, flavour, EngineConfig(), target)
        build_engine(trt, data, recipe, signature, messages, messages.logger(trt))
        seconds[target] = round(time.perf_counter() - began, 1)
    built = ", ".join(f"{target} ({value} s)" for target, value in seconds.items())
    figures = {"library": full_name(trt), "served": False, "present": present, "seconds": seconds}
    text = f"{full_name(trt)} does not serve {present}: built for {built}, nothing was run"
    return Finding(True, text, figures)


def _run(bundle: Bundle, precision: PrecisionChoice, compute: str, settings: Settings) -> Finding:
    """Build for the GPU at hand, compare with the golden frames, and time."""
    os.environ["XDG_CACHE_HOME"] = str(settings.folder)  # where engines are kept
    flavour, _ = _graph(bundle, precision)
    golden = read_golden_frames(bundle)
    assert golden is not None, "every export has golden frames"
    began = time.perf_counter()
    with open_runner(bundle, "tensorrt-rtx", precision) as runner:
        opened = time.perf_counter() - began
        agreement = golden.agreement(lambda frame: runner(frame).mask[0])
        times = []
        for index in range(TIMED_FRAMES):
            began = time.perf_counter()
            runner(golden.frames[index % len(golden.frames)][None])
            times.append(1000 * (time.perf_counter() - began))
    milliseconds = float(np.median(times))
    text = (
        f"runs on {compute}: {agreement:.2f} % of the golden pixels, {milliseconds:.2f} ms a frame,"
        f" opened in {opened:.1f} s"
    )
    figures = {
        "served": True,
        "present": compute,
        "agreement": agreement,
        "ms": milliseconds,
        "open_seconds": opened,
    }
    return Finding(agreement >= minimum_agreement(bundle, flavour), text, figures)


def _graph(bundle: Bundle, precision: PrecisionChoice) -> tuple[Flavour, bytes]:
    """The file of a precision, and its verified bytes."""
    flavour = choose_flavour(bundle, "tensorrt-rtx", precision)
    return flavour, read_verified_graph(bundle, flavour)


PART = Part("tensorrt-rtx", items, measure, seconds=30)
