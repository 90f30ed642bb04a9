"""Opens a bundle for inference: picks file and back end, checks the bytes, and hands out one
callable.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

import numpy as np

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import Backend, Flavour
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.config import EngineConfig
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.base import BackendChoice, PrecisionChoice, Runner
from edgeseg.runtime.backends.flavour_choice import choose_flavour

MAX_STREAMS = 4  # each holds the activations of a frame
WARM_UP_CALLS = 2  # first calls lay out memory, and build an engine on TensorRT


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_runner(
    bundle: Path | Bundle,
    backend: BackendChoice = "auto",
    precision: PrecisionChoice | Flavour = "auto",
    threads: int = 0,
    *,
    streams: int = 1,
    engine: EngineConfig | None = None,
    report: ProgressReporter | None = None,
    stop: Event | None = None,
) -> Iterator[Runner]:
    """A warm runner of one of the bundle's graphs, for the length of a `with` block.

    Args:
        backend: "auto" takes TensorRT where it works, else ONNX Runtime on CUDA, else on the CPU.
            "tensorrt" is native, "ort-tensorrt" ONNX Runtime's provider. The first run on TensorRT
            builds an engine, which takes minutes.
        precision: "auto" takes INT8 where the bundle holds the back end's flavour and its own
            figures do not call it slower than FP32; on TensorRT what was fastest here. The name of
            a flavour picks that file.
        threads: CPU threads over all streams, 0 for as many as there are cores.
        streams: calls that may run at once, each with its share of the threads; 0 takes what suits
            a file. Whole frames side by side use a CPU better than one frame split over its cores,
            but each frame takes longer.
        engine: how engines are built.
        report: told when one is built, and why "auto" passes over TensorRT.
        stop: ends a build when set.

    Raises:
        BundleError: the bundle is damaged or lacks the file, or the file does not belong on this
            back end.
        DependencyError: ONNX Runtime, or the part of it that the back end needs, is not installed.
        EngineError: TensorRT was asked for, and cannot build or run the engine.
        KeyboardInterrupt: `stop` ended a build.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    manifest = opened.manifest
    with ExitStack() as stack:
        runner: Runner | None = None
        if backend in ("auto", "tensorrt"):
            from edgeseg.runtime.backends.tensorrt import native_runner  # noqa: PLC0415  # it imports this module

            start = (
                native_runner.open_native
                if backend == "tensorrt"
                else native_runner.try_open_native
            )
            stopped = stop.is_set if stop is not None else lambda: False
            found = start(
                native_runner.RunnerRequest(
                    opened,
                    precision,
                    engine or EngineConfig(),
                    streams,
                    report or NullReporter(),
                    stopped,
                )
            )
            if found is not None:
                stack.callback(found.close)
                runner = found
        if runner is None:
            runner = _open_ort(opened, backend, precision, threads or available_cores(), streams)
        empty = np.zeros((1, manifest.height, manifest.width, 3), np.uint8)
        for _ in range(WARM_UP_CALLS):
            runner(empty)
        yield runner


def _open_ort(
    bundle: Bundle,
    backend: BackendChoice,
    precision: PrecisionChoice | Flavour,
    threads: int,
    streams: int,
) -> Runner:
    from edgeseg.runtime.backends import onnxruntime_backend  # noqa: PLC0415  # it needs an optional package

    chosen = onnxruntime_backend.fastest_backend() if backend == "auto" else backend
    onnxruntime_backend.require_backend(chosen)
    flavour = choose_flavour(bundle, chosen, precision)
    streams = streams or (min(threads, MAX_STREAMS) if chosen == "cpu" else 1)
    data = read_verified_graph(
        bundle, flavour
    )  # the engine makes its own copy, and this one is gone when this function ends
    return onnxruntime_backend.OnnxRuntimeRunner(
        bundle, data, flavour, chosen, threads=threads, streams=streams
    )


def resolve_backend(backend: BackendChoice) -> Backend:
    """What "auto" tries first here: TensorRT where there is one, CUDA where ONNX Runtime can use
    it, else the CPU.

    Raises:
        DependencyError: what the back end needs is not installed.
    """
    from edgeseg.runtime.backends import onnxruntime_backend  # noqa: PLC0415  # optional
    from edgeseg.runtime.backends.tensorrt import native_runner  # noqa: PLC0415  # optional packages

    if backend == "tensorrt" or (backend == "auto" and native_runner.is_available()):
        return "tensorrt"
    if backend == "auto":
        return onnxruntime_backend.fastest_backend()
    onnxruntime_backend.require_backend(backend)
    return backend
