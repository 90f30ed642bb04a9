"""A TensorRT engine for a file of a bundle: from this device's cache, or built now, tried out and
kept.
"""

from __future__ import annotations

import hashlib
import math
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Flavour, Precision
from edgeseg.bundle.golden_frames import read_golden_frames
from edgeseg.bundle.graph_signature import GraphSignature
from edgeseg.config import EngineConfig
from edgeseg.errors import DependencyError, EngineError
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.cuda_runtime import CudaRuntime
from edgeseg.runtime.backends.tensorrt import build_worker
from edgeseg.runtime.backends.tensorrt.build_process import (
    BuildJob,
    StopCheck,
    build_in_child_process,
)
from edgeseg.runtime.backends.tensorrt.engine_builder import BuildRecipe, Module
from edgeseg.runtime.backends.tensorrt.engine_cache import EngineCache, EngineEntry
from edgeseg.runtime.backends.tensorrt.layer_inspection import LayerInspection

FORMAT = 1  # of what this builder makes; a higher one makes every older engine invalid
MINIMUM_AGREEMENT: dict[Precision, float] = {"fp32": 99.5, "fp16": 99.5, "int8": 98.0}
"""Percent of the golden pixels that must come out as in FP32 at export. A right FP32 or FP16 engine (TensorRT computes
FP32 with TF32's ten bits, as many as FP16 has) differs on pixels where two classes are all but equal, well below 0.5 %;
a wrong one, with broken normalization or a misread layer, differs on tens of percent."""
# an INT8 file that itself agreed less at export is held to that, less rounding that differs
SLACK = 1.0
MAX_TRIES = 3  # failed builds, after which only `edgeseg build` tries again


@dataclass(frozen=True)
class TensorRTEnvironment:
    """What building and running need of the machine."""

    trt: Module
    cuda: CudaRuntime

    @classmethod
    def detect(cls) -> TensorRTEnvironment:
        """Raises:
        DependencyError: TensorRT, CUDA or a GPU is missing.
        """
        try:
            trt = build_worker.import_tensorrt()
        except (ImportError, OSError) as error:
            raise DependencyError(
                f"this machine cannot use tensorrt: its Python module does not load ({error}); on a Jetson run `sudo "
                "apt install python3-libnvinfer` and make the venv with --system-site-packages, elsewhere `pip install "
                "'edgeseg[tensorrt]'`, or use --backend cpu"
            ) from None
        return cls(trt, CudaRuntime.open())


def key_parts(tools: TensorRTEnvironment, recipe: BuildRecipe, digest: str) -> dict[str, str]:
    """All that an engine depends on; a difference in any makes another engine."""
    device = tools.cuda.device
    return {
        "format": str(FORMAT),
        "onnx": digest,
        "tensorrt": str(tools.trt.__version__),
        "cuda": device.runtime,
        "device": device.name,
        "compute": device.compute,
        "multiprocessors": str(device.multiprocessors),
        "system": f"{platform.system().lower()}-{platform.machine()}",
        "flavour": recipe.flavour,
        "typing": recipe.typing,
        "flags": " ".join((*recipe.network_flags, *recipe.builder_flags)),
        "workspace_mb": str(recipe.workspace_mb),
        "level": str(recipe.level),
        "profiles": "static",
        "dla": "none" if recipe.dla is None else str(recipe.dla),
    }


def parts_for(
    bundle: Bundle, flavour: Flavour, config: EngineConfig, tools: TensorRTEnvironment
) -> dict[str, str]:
    """The key of the engine for one file of a bundle."""
    return key_parts(
        tools,
        BuildRecipe.of(tools.trt, flavour, config),
        bundle.manifest.files[FLAVOURS[flavour].file].sha256,
    )


def get_or_build_engine(
    bundle: Bundle,
    flavour: Flavour,
    data: bytes,
    config: EngineConfig,
    tools: TensorRTEnvironment,
    *,
    cache: EngineCache | None = None,
    force: bool = False,
    persist: bool = True,
    report: ProgressReporter | None = None,
    stopped: StopCheck = lambda: False,
) -> tuple[EngineEntry, bytes]:
    """An engine that passed on this device.

    Args:
        data: the graph; already scanned and compared with the manifest.
        force: build even where there is one.
        persist: try again however often it failed before.
        stopped: asked while a build is under way.

    Returns:
        What is known of it, and the plan.

    Raises:
        EngineError: it cannot be built, or what was built is not right.
        KeyboardInterrupt: `stopped`.
    """
    cache, report = cache or EngineCache(), report or NullReporter()
    recipe = BuildRecipe.of(tools.trt, flavour, config)
    parts = key_parts(tools, recipe, hashlib.sha256(data).hexdigest())
    cache.open()
    found = None if force else cache.find(parts)
    if found is not None:
        return found
    before = cache.entry(parts)
    if not persist and before is not None and before.tries >= MAX_TRIES:
        raise EngineError(
            f"no engine of {FLAVOURS[flavour].file} was built in {before.tries} tries (the last: {before.refused}); "
            "`edgeseg build` tries again"
        )
    golden = read_golden_frames(bundle)
    if golden is None:
        raise EngineError(
            f"{bundle.path} brings no golden frames to check an engine with; export the bundle again"
        )

    def waits() -> None:
        report.say("another process builds an engine here; waiting for it")

    with cache.build_lock(config.timeout, stopped, waits):
        found = None if force else cache.find(parts)  # while we waited
        if found is not None:
            return found
        report.say(
            f"building a TensorRT {parts['tensorrt']} engine of {FLAVOURS[flavour].file} for {parts['device']}, once; this "
            f"takes minutes on a small board, and is kept in {cache.folder}"
        )
        began = time.monotonic()
        try:
            job = BuildJob(data, recipe, GraphSignature.of(bundle.manifest), golden, config)
            result, plan = build_in_child_process(
                job, cache.folder, cache.timing_file(parts), stopped
            )
            record = accept_engine(bundle, flavour, parts, result)
        except EngineError as error:
            tries = (before.tries if before is not None else 0) + 1
            with suppress(EngineError):  # a full disk must not hide why there is no engine
                cache.store(
                    EngineEntry(parts=parts, refused=str(error), tries=tries, built=_now()), None
                )
            raise
        record = record.model_copy(update={"seconds": round(time.monotonic() - began, 1)})
        return cache.store(record, plan), plan


def accept_engine(
    bundle: Bundle, flavour: Flavour, parts: dict[str, str], result: dict[str, Any]
) -> EngineEntry:  # Any: as `work`
    """The record of an engine that may be used.

    Raises:
        EngineError: it sees other things than the bundle's FP32 file saw at export, or does not run
            in INT8 at all.
    """
    seen, name, least = (
        LayerInspection.load(result["evidence"]),
        FLAVOURS[flavour].file,
        minimum_agreement(bundle, flavour),
    )
    if not result["agreement"] >= least:
        raise EngineError(
            f"the engine of {name} gives only {result['agreement']:.2f} % of the golden pixels the class that they had "
            f"at export, less than {least:.2f} %, so it is not used; try another --precision, or report it with "
            "`edgeseg doctor`"
        )
    warnings = list(result["notes"])
    if FLAVOURS[flavour].precision == "int8":
        if seen.runs_in_float():
            raise EngineError(
                f"none of the {seen.convolutions} convolutions of {name} runs in INT8 here, so the engine is not used; "
                "use --precision fp16, and report it with `edgeseg doctor`"
            )
        warnings += seen.warnings(_expected(bundle, flavour))
    return EngineEntry(
        parts=parts,
        agreement=result["agreement"],
        least=least,
        ms=result["ms"],
        evidence=asdict(seen),
        warnings=tuple(warnings),
        power=power_mode(),
        built=_now(),
    )


def minimum_agreement(bundle: Bundle, flavour: Flavour) -> float:
    """What the engine of a file must reach, in percent."""
    figures = bundle.manifest.figures.get(flavour)
    found = figures.get("agreement") if isinstance(figures, dict) else None
    precision = FLAVOURS[flavour].precision
    if precision == "int8" and isinstance(found, (int, float)) and math.isfinite(found):
        return min(MINIMUM_AGREEMENT[precision], max(90.0, found - SLACK))
    return MINIMUM_AGREEMENT[precision]


def _expected(bundle: Bundle, flavour: Flavour) -> int | None:
    figures = bundle.manifest.figures.get(flavour)
    found = figures.get("integer") if isinstance(figures, dict) else None
    return found if isinstance(found, int) else None


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def power_mode() -> str:
    """The number of a Jetson's power mode; empty elsewhere."""
    try:
        return Path("/var/lib/nvpmodel/status").read_text(errors="replace").strip()[:64]
    except OSError:
        return ""
