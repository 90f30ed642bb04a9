"""The TensorRT engine of a bundle's file: from this device's cache, or built, checked and kept."""

from __future__ import annotations

import hashlib
import platform
import time
from contextlib import suppress
from dataclasses import dataclass

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.bundle.golden_frames import read_golden_frames
from edgeseg.bundle.graph_signature import GraphSignature
from edgeseg.config import EngineConfig
from edgeseg.errors import DependencyError, EngineError
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.cuda_runtime import CudaRuntime
from edgeseg.runtime.backends.engine_cache import EngineCache, EngineEntry
from edgeseg.runtime.backends.tensorrt import libraries
from edgeseg.runtime.backends.tensorrt.building.build_process import (
    BuildJob,
    build_in_child_process,
)
from edgeseg.runtime.backends.tensorrt.building.build_recipe import BuildRecipe
from edgeseg.runtime.backends.tensorrt.building.child_process import StopCheck
from edgeseg.runtime.backends.tensorrt.building.engine_acceptance import accept_engine, utc_now
from edgeseg.runtime.backends.tensorrt.libraries import (
    LIBRARIES,
    NativeBackend,
    TensorRTLibrary,
    full_name,
)
from edgeseg.runtime.backends.tensorrt.version_differences import (
    TensorRTModule,
    compute_capabilities,
)

FORMAT = 1  # of what this builder makes; a higher one makes every older engine invalid
MAX_TRIES = 3  # failed builds, after which only `edgeseg build` tries again


@dataclass(frozen=True)
class TensorRTEnvironment:
    """The parts of the machine that building and running need.

    Attributes:
        trt: The module of `library`.
        cuda: The runtime library on the device.
        library: Which of NVIDIA's libraries builds and runs.
    """

    trt: TensorRTModule
    cuda: CudaRuntime
    library: TensorRTLibrary = LIBRARIES["tensorrt"]

    @classmethod
    def detect(cls, backend: NativeBackend = "tensorrt") -> TensorRTEnvironment:
        """Return what this machine has.

        Raises:
            DependencyError: The library, CUDA or a GPU that it serves is missing.
        """
        library = LIBRARIES[backend]
        try:
            trt = libraries.import_library(library)
        except (ImportError, OSError) as error:
            raise DependencyError(
                f"this machine cannot use {backend}: its Python module does not load "
                f"({error}); {library.install}, or use --backend cpu"
            ) from None
        cuda = CudaRuntime.open(backend)
        served, device = compute_capabilities(trt), cuda.device
        if served and device.compute not in served:
            raise DependencyError(
                f"this machine cannot use {backend}: {full_name(trt)} serves GPUs of compute "
                f"capability {', '.join(served)}, and {device.name} has {device.compute}; use "
                "--backend tensorrt, cuda or cpu"
            )
        return cls(trt, cuda, library)


def engine_parts(
    environment: TensorRTEnvironment, flavour: Flavour, config: EngineConfig, digest: str
) -> dict[str, str]:
    """Return the key of an engine: all that it depends on.

    A difference in any part makes another engine.

    Args:
        digest: The sha256 of the graph.

    Raises:
        EngineError: DLA cannot run the flavour.
    """
    device = environment.cuda.device
    recipe = BuildRecipe.of(environment.trt, flavour, config)
    return {
        "format": str(FORMAT),
        "onnx": digest,
        environment.library.backend: str(environment.trt.__version__),
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


def get_or_build_engine(
    bundle: Bundle,
    flavour: Flavour,
    data: bytes,
    config: EngineConfig,
    environment: TensorRTEnvironment,
    *,
    cache: EngineCache | None = None,
    force: bool = False,
    persist: bool = True,
    report: ProgressReporter | None = None,
    stopped: StopCheck = lambda: False,
) -> tuple[EngineEntry, bytes]:
    """Return an engine that passed on this device.

    Args:
        data: The graph, already verified.
        force: Build even where there is one.
        persist: Try again however often it failed before.
        stopped: Asked while a build is under way.

    Returns:
        What is known of the engine, and the engine itself.

    Raises:
        EngineError: It cannot be built, or what was built is not right.
        KeyboardInterrupt: `stopped` ended a build.
    """
    cache, report = cache or EngineCache(), report or NullReporter()
    parts = engine_parts(environment, flavour, config, hashlib.sha256(data).hexdigest())
    file, name = FLAVOURS[flavour].file, full_name(environment.trt)
    cache.open()
    kept = None if force else cache.find(parts)
    if kept is not None:
        return kept
    before = cache.entry(parts)
    tries = before.tries if before is not None else 0
    if not persist and before is not None and tries >= MAX_TRIES:
        raise EngineError(
            f"no engine of {file} was built in {tries} tries (the last: {before.refused}); "
            "`edgeseg build` tries again"
        )
    golden = read_golden_frames(bundle)
    if golden is None:
        raise EngineError(
            f"{bundle.path} brings no golden frames to check an engine with; export the bundle "
            "again"
        )

    def tell_waiting() -> None:
        report.say("another process builds an engine here; waiting for it")

    with cache.build_lock(config.timeout, stopped, tell_waiting):
        kept = None if force else cache.find(parts)  # another process may have built it meanwhile
        if kept is not None:
            return kept
        report.say(
            f"building a {name} engine of {file} for {parts['device']}, "
            f"once; this takes minutes on a small board, and is kept in {cache.folder}"
        )
        began = time.monotonic()
        recipe = BuildRecipe.of(environment.trt, flavour, config)
        job = BuildJob(
            environment.library, data, recipe, GraphSignature.of(bundle.manifest), golden, config
        )
        try:
            built = build_in_child_process(job, cache.folder, cache.timing_file(parts), stopped)
            entry = accept_engine(bundle, flavour, parts, built.facts)
        except EngineError as error:
            refused = EngineEntry(parts=parts, refused=str(error), tries=tries + 1, built=utc_now())
            with suppress(EngineError):  # a full disk must not hide why there is no engine
                cache.store(refused, None)
            raise
        entry = entry.model_copy(update={"seconds": round(time.monotonic() - began, 1)})
        entry = cache.store(entry, built.plan)
        cache.keep_kernels(parts, built.kernels)
        return entry, built.plan
