"""Native TensorRT as a back end: the choice of a bundle's file, and a runner of its engine."""

from __future__ import annotations

import importlib.util
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
from edgeseg.runtime.backends.flavour_choice import choose_flavour
from edgeseg.runtime.backends.tensorrt.engine import Engine, EngineNotLoadable, TensorRTRunner
from edgeseg.runtime.backends.tensorrt.engine_cache import EngineCache
from edgeseg.runtime.backends.tensorrt.engine_provider import (
    TensorRTEnvironment,
    engine_parts,
    get_or_build_engine,
)
from edgeseg.runtime.backends.tensorrt.messages import TensorRTMessages

STREAMS = 2  # the CPU fills one lane while the GPU works on the other


def is_available() -> bool:
    """Return whether TensorRT is worth trying: quick, and nothing is loaded."""
    return has_gpu() and importlib.util.find_spec("tensorrt") is not None


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

    def ranked_flavours(self, environment: TensorRTEnvironment) -> list[Flavour]:
        """Return the files to try, the best one first.

        Raises:
            BundleError: The bundle lacks the file.
            EngineError: There is no place for engines.
        """
        if self.precision == "auto":
            return rank_flavours(self.bundle, self.config, environment)
        return [choose_flavour(self.bundle, "tensorrt", self.precision)]


def open_native(request: RunnerRequest) -> TensorRTRunner:
    """Return a runner, which the caller closes; its engine is built now if there is none yet.

    Raises:
        BundleError: The bundle is damaged or lacks the file.
        DependencyError: TensorRT or a GPU is missing.
        EngineError: The engine cannot be built or run.
    """
    environment = TensorRTEnvironment.detect()
    return _open(request, request.ranked_flavours(environment)[0], environment, persist=True)


def try_open_native(request: RunnerRequest) -> TensorRTRunner | None:
    """Return a runner as `open_native` does, or None if another back end is to be taken.

    Whatever TensorRT lacks or refuses is told as a note.

    Raises:
        BundleError: The bundle is damaged.
    """
    if not is_available():
        return None
    try:
        environment = TensorRTEnvironment.detect()
        EngineCache().open()
        flavours = request.ranked_flavours(environment)
    except (DependencyError, EngineError) as error:
        request.report.say(f"going on without TensorRT: {error}")
        return None
    except BundleError:
        return None  # it lacks this precision for TensorRT, and may have it for another back end
    for flavour in flavours:
        try:
            return _open(request, flavour, environment, persist=False)
        except EngineError as error:
            request.report.say(f"going on without TensorRT's {FLAVOURS[flavour].file}: {error}")
    return None


def rank_flavours(
    bundle: Bundle, config: EngineConfig, environment: TensorRTEnvironment
) -> list[Flavour]:
    """Return the bundle's files for TensorRT in the order in which to try them.

    First come those whose engine passed on this device, by speed, then what is usually fast.

    Raises:
        EngineError: There is no place for engines.
    """
    cache, milliseconds = EngineCache(), {}
    held = [flavour for flavour in flavours_of("tensorrt") if bundle.holds(flavour)]
    if config.dla is not None and len(held) > 1:  # DLA has no FP32
        held = [flavour for flavour in held if FLAVOURS[flavour].precision != "fp32"]
    for flavour in held:
        digest = bundle.manifest.files[FLAVOURS[flavour].file].sha256
        entry = cache.entry(engine_parts(environment, flavour, config, digest))
        if entry is not None and entry.plan is not None and entry.ms is not None:
            milliseconds[flavour] = entry.ms
    return sorted(held, key=lambda flavour: milliseconds.get(flavour, float("inf")))


def _open(
    request: RunnerRequest, flavour: Flavour, environment: TensorRTEnvironment, *, persist: bool
) -> TensorRTRunner:
    bundle, config = request.bundle, request.config
    data = read_verified_graph(bundle, flavour)
    streams = request.streams or STREAMS

    def load(*, force: bool) -> TensorRTRunner:
        _, plan = get_or_build_engine(
            bundle,
            flavour,
            data,
            config,
            environment,
            force=force,
            persist=persist,
            report=request.report,
            stopped=request.stopped,
        )
        messages = TensorRTMessages(lambda text: None)
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
        )
        return TensorRTRunner(bundle, flavour, engine, streams)

    try:
        return load(force=False)
    except EngineNotLoadable as error:
        request.report.say(f"the engine kept here does not load and is built again: {error}")
        return load(force=True)
