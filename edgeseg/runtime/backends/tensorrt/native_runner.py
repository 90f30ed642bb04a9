"""Native TensorRT as a back end: which file of a bundle to run, and a runner of its engine."""

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
from edgeseg.runtime.backends.tensorrt.engine_builder import BuildRecipe, TensorRTMessages
from edgeseg.runtime.backends.tensorrt.engine_cache import EngineCache
from edgeseg.runtime.backends.tensorrt.engine_provider import (
    TensorRTEnvironment,
    get_or_build_engine,
    key_parts,
)

STREAMS = 2  # the CPU fills one lane while the GPU works on the other


def is_available() -> bool:
    """Whether it is worth trying: quick, and nothing is loaded."""
    return has_gpu() and importlib.util.find_spec("tensorrt") is not None


@dataclass(frozen=True)
class RunnerRequest:
    """What is wanted of TensorRT.

    Attributes:
        streams: calls that may run at once; 0 takes what suits it.
        stopped: asked while an engine is built.
    """

    bundle: Bundle
    precision: PrecisionChoice | Flavour
    config: EngineConfig
    streams: int
    report: ProgressReporter
    stopped: Callable[[], bool]

    def ranked_flavours(self, tools: TensorRTEnvironment) -> list[Flavour]:
        """The files to try, the best one first.

        Raises:
            BundleError: the bundle lacks the file.
            EngineError: there is no place for engines.
        """
        if self.precision == "auto":
            return rank_flavours(self.bundle, self.config, tools)
        return [choose_flavour(self.bundle, "tensorrt", self.precision)]


def open_native(request: RunnerRequest) -> TensorRTRunner:
    """A runner; its engine is built now where there is none yet. The caller closes it.

    Raises:
        BundleError: the bundle is damaged or lacks the file.
        DependencyError: TensorRT or a GPU is missing.
        EngineError: the engine cannot be built or run.
    """
    tools = TensorRTEnvironment.detect()
    return _open(request, request.ranked_flavours(tools)[0], tools, persist=True)


def try_open_native(request: RunnerRequest) -> TensorRTRunner | None:
    """As `open_native`, but whatever TensorRT lacks or refuses is a note, and None says to take
    another back end.

    Raises:
        BundleError: the bundle is damaged.
    """
    if not is_available():
        return None
    try:
        tools = TensorRTEnvironment.detect()
        EngineCache().open()
        flavours = request.ranked_flavours(tools)
    except (DependencyError, EngineError) as error:
        request.report.say(f"going on without TensorRT: {error}")
        return None
    except (
        BundleError
    ):  # it lacks this precision for TensorRT, and may have it for another back end
        return None
    for flavour in flavours:
        try:
            return _open(request, flavour, tools, persist=False)
        except EngineError as error:
            request.report.say(f"going on without TensorRT's {FLAVOURS[flavour].file}: {error}")
    return None


def rank_flavours(
    bundle: Bundle, config: EngineConfig, tools: TensorRTEnvironment
) -> list[Flavour]:
    """The bundle's files for TensorRT: first what passed here, the fastest before others, then what
    is usually fast.

    Raises:
        EngineError: there is no place for engines.
    """
    cache, times = EngineCache(), {}
    held = [flavour for flavour in flavours_of("tensorrt") if bundle.holds(flavour)]
    if config.dla is not None and len(held) > 1:  # DLA has no FP32
        held = [flavour for flavour in held if FLAVOURS[flavour].precision != "fp32"]
    for flavour in held:
        digest = bundle.manifest.files[FLAVOURS[flavour].file].sha256
        record = cache.entry(key_parts(tools, BuildRecipe.of(tools.trt, flavour, config), digest))
        if record is not None and record.plan is not None and record.ms is not None:
            times[flavour] = record.ms
    return sorted(held, key=lambda flavour: times.get(flavour, float("inf")))


def _open(
    request: RunnerRequest, flavour: Flavour, tools: TensorRTEnvironment, *, persist: bool
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
            tools,
            force=force,
            persist=persist,
            report=request.report,
            stopped=request.stopped,
        )
        messages = TensorRTMessages(lambda text: None)
        engine = Engine(
            tools.trt,
            tools.cuda,
            plan,
            GraphSignature.of(bundle.manifest),
            messages.logger(tools.trt),
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
