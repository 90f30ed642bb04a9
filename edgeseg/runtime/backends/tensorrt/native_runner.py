"""Native TensorRT as a back end: the choice of a bundle's file, and a runner of its engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Flavour, flavours_of
from edgeseg.bundle.graph_signature import GraphSignature
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.config import EngineConfig
from edgeseg.errors import BundleError, DependencyError, EngineError
from edgeseg.progress import ProgressReporter
from edgeseg.runtime.backends.base import PrecisionChoice
from edgeseg.runtime.backends.cuda_runtime import has_gpu
from edgeseg.runtime.backends.engine_cache import EngineCache
from edgeseg.runtime.backends.flavour_choice import choose_flavour
from edgeseg.runtime.backends.tensorrt import libraries
from edgeseg.runtime.backends.tensorrt.building.messages import TensorRTMessages
from edgeseg.runtime.backends.tensorrt.engine import Engine, EngineNotLoadable, TensorRTRunner
from edgeseg.runtime.backends.tensorrt.engine_provider import (
    TensorRTEnvironment,
    engine_parts,
    get_or_build_engine,
)
from edgeseg.runtime.backends.tensorrt.libraries import LIBRARIES, NativeBackend

STREAMS = 2  # the CPU fills one lane while the GPU works on the other


def available_backends() -> tuple[NativeBackend, ...]:
    """Return the libraries that are worth trying: quick, and nothing is loaded."""
    return libraries.installed_backends() if has_gpu() else ()


@dataclass(frozen=True)
class Candidate:
    """A file of the bundle and a library that may run it.

    Attributes:
        environment: The library and the device.
        flavour: The file.
        ms: The median time of one frame, of an engine that passed here; infinite if none did.
    """

    environment: TensorRTEnvironment
    flavour: Flavour
    ms: float


@dataclass(frozen=True, kw_only=True)
class RunnerRequest:
    """All that a runner is opened with.

    Attributes:
        bundle: The bundle to run.
        precision: "auto", a precision, or the name of a flavour.
        config: How engines are built.
        streams: The number of calls that may run at once; 0 takes what suits TensorRT.
        report: Told what happens.
        stopped: Asked while an engine is built.
    """

    bundle: Bundle
    precision: PrecisionChoice | Flavour
    config: EngineConfig
    streams: int
    report: ProgressReporter
    stopped: Callable[[], bool]

    def candidates(self, environment: TensorRTEnvironment) -> list[Candidate]:
        """Return the files that a library may run.

        Raises:
            BundleError: The bundle lacks the file.
            EngineError: There is no place for engines.
        """
        if self.precision == "auto":
            return held_files(self.bundle, self.config, environment)
        flavour = choose_flavour(self.bundle, environment.library.backend, self.precision)
        return [candidate(self.bundle, flavour, self.config, environment)]


def open_native(request: RunnerRequest, backend: NativeBackend) -> TensorRTRunner:
    """Return a runner, which the caller closes; its engine is built now if there is none yet.

    Raises:
        BundleError: The bundle is damaged or lacks the file.
        DependencyError: The library or a GPU is missing.
        EngineError: The engine cannot be built or run.
    """
    environment = TensorRTEnvironment.detect(backend)
    best = min(request.candidates(environment), key=lambda one: one.ms)
    return _open(request, best, persist=True)


def try_open_native(request: RunnerRequest) -> TensorRTRunner | None:
    """Return a runner as `open_native` does, or None if another back end is to be taken.

    What passed on this device comes first, by speed, then what is usually fast. Whatever a library
    lacks or refuses is told as a note.

    Raises:
        BundleError: The bundle is damaged.
    """
    candidates: list[Candidate] = []
    for backend in available_backends():
        try:
            environment = TensorRTEnvironment.detect(backend)
            EngineCache().open()
            candidates += request.candidates(environment)
        except (DependencyError, EngineError) as error:
            request.report.say(f"going on without {LIBRARIES[backend].title}: {error}")
        except BundleError:
            continue  # it lacks this precision for TensorRT, and may have it for another back end
    for one in sorted(candidates, key=lambda one: one.ms):
        try:
            return _open(request, one, persist=False)
        except EngineError as error:
            title, file = one.environment.library.title, FLAVOURS[one.flavour].file
            request.report.say(f"going on without {title}'s {file}: {error}")
    return None


def held_files(
    bundle: Bundle, config: EngineConfig, environment: TensorRTEnvironment
) -> list[Candidate]:
    """Return the bundle's files that a library runs, the preferred one first.

    Raises:
        EngineError: There is no place for engines.
    """
    usable = flavours_of(environment.library.backend)
    held = [flavour for flavour in usable if bundle.holds(flavour)]
    if config.dla is not None and len(held) > 1:  # DLA has no FP32
        held = [flavour for flavour in held if FLAVOURS[flavour].precision != "fp32"]
    return [candidate(bundle, flavour, config, environment) for flavour in held]


def candidate(
    bundle: Bundle, flavour: Flavour, config: EngineConfig, environment: TensorRTEnvironment
) -> Candidate:
    """Return a file and a library with the speed of their engine, if one passed here.

    Raises:
        EngineError: There is no place for engines.
    """
    digest = bundle.manifest.files[FLAVOURS[flavour].file].sha256
    entry = EngineCache().entry(engine_parts(environment, flavour, config, digest))
    ms = entry.ms if entry is not None and entry.plan is not None else None
    return Candidate(environment, flavour, float("inf") if ms is None else ms)


def _open(request: RunnerRequest, chosen: Candidate, *, persist: bool) -> TensorRTRunner:
    bundle, config = request.bundle, request.config
    environment, flavour = chosen.environment, chosen.flavour
    data = read_verified_graph(bundle, flavour)
    streams = request.streams or STREAMS
    cache = EngineCache()

    def load(*, force: bool) -> TensorRTRunner:
        entry, plan = get_or_build_engine(
            bundle,
            flavour,
            data,
            config,
            environment,
            cache=cache,
            force=force,
            persist=persist,
            report=request.report,
            stopped=request.stopped,
        )
        messages = TensorRTMessages(lambda text: None)
        kernels = cache.kernels(entry.parts)
        engine = Engine(
            environment.trt,
            environment.cuda,
            plan,
            GraphSignature.of(bundle.manifest),
            messages.logger(environment.trt),
            lanes=streams,
            graphs=config.graphs,
            mapped=config.mapped,
            dla=config.dla,
            kernels=kernels,
        )
        compiled = engine.kernels()
        if compiled != kernels:
            cache.keep_kernels(entry.parts, compiled)
        return TensorRTRunner(bundle, flavour, engine, streams, environment.library.backend)

    try:
        return load(force=False)
    except EngineNotLoadable as error:
        request.report.say(f"the engine kept here does not load and is built again: {error}")
        return load(force=True)
