"""Opens a bundle for inference: picks back end and file, and returns one callable.

The file that runs is chosen in `flavour_choice`, its bytes are checked in
`edgeseg.bundle.verification`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

import numpy as np

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import Backend, Flavour
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.config import EngineConfig
from edgeseg.processor import available_cores
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.base import BackendChoice, PrecisionChoice, Runner
from edgeseg.runtime.backends.flavour_choice import choose_flavour
from edgeseg.runtime.backends.tensorrt import native_runner

# `native_runner` needs no optional package to be imported, and imports in a few milliseconds.
# `onnxruntime_backend` loads ONNX Runtime, which takes 0.15 s and may be missing where TensorRT
# runs everything, so it is imported where it is used.

MAX_STREAMS = 4  # each holds the activations of a frame
WARM_UP_CALLS = 2  # the first calls allocate memory


@contextmanager
def open_runner(
    bundle: Bundle | Path | str,
    backend: BackendChoice = "auto",
    precision: PrecisionChoice | Flavour = "auto",
    threads: int = 0,
    *,
    streams: int = 1,
    engine: EngineConfig | None = None,
    report: ProgressReporter | None = None,
    stop: Event | None = None,
) -> Iterator[Runner]:
    """Open a warm runner of one of the bundle's graphs, for the length of a `with` block.

    Args:
        bundle: The bundle, or its folder.
        backend: "auto" takes TensorRT where it works, else ONNX Runtime on CUDA, else on the CPU.
            "tensorrt" and "tensorrt-rtx" are native, "ort-tensorrt" is ONNX Runtime's provider. The
            first run on TensorRT builds an engine, which takes minutes.
        precision: "auto" takes INT8 where the bundle holds the back end's flavour and its own
            figures do not call it slower than FP32; on TensorRT what was fastest here. The name of
            a flavour picks that file.
        threads: CPU threads over all streams, 0 for as many as there are cores.
        streams: Calls that may run at once, each with its share of the threads; 0 takes what suits
            the back end. Whole frames side by side use a CPU better than one frame split over its
            cores, but each frame takes longer.
        engine: How engines are built.
        report: Told when one is built, and why "auto" passes over TensorRT.
        stop: Ends a build when set.

    Raises:
        BundleError: The bundle is damaged or lacks the file, or the file does not belong on this
            back end.
        DependencyError: ONNX Runtime, or the part of it that the back end needs, is not installed.
        EngineError: TensorRT was asked for, and cannot build or run the engine.
        KeyboardInterrupt: `stop` ended a build.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    with ExitStack() as stack:
        runner: Runner | None = None
        if backend in ("auto", "tensorrt", "tensorrt-rtx"):
            request = native_runner.RunnerRequest(
                bundle=opened,
                precision=precision,
                config=engine or EngineConfig(),
                streams=streams,
                report=report or NullReporter(),
                stopped=stop.is_set if stop is not None else lambda: False,
            )
            native = (
                native_runner.open_native(request, backend)
                if backend == "tensorrt" or backend == "tensorrt-rtx"
                else native_runner.try_open_native(request)
            )
            if native is not None:
                stack.callback(native.close)
                runner = native
        if runner is None:
            threads = threads or available_cores()
            runner = _open_onnxruntime(opened, backend, precision, threads, streams)
        blank = np.zeros((1, opened.manifest.height, opened.manifest.width, 3), np.uint8)
        for _ in range(WARM_UP_CALLS):
            runner(blank)
        yield runner


def _open_onnxruntime(
    bundle: Bundle,
    backend: BackendChoice,
    precision: PrecisionChoice | Flavour,
    threads: int,
    streams: int,
) -> Runner:
    from edgeseg.runtime.backends import onnxruntime_backend  # noqa: PLC0415  # see above

    chosen = onnxruntime_backend.fastest_backend() if backend == "auto" else backend
    onnxruntime_backend.require_backend(chosen)
    flavour = choose_flavour(bundle, chosen, precision)
    streams = streams or (min(threads, MAX_STREAMS) if chosen == "cpu" else 1)
    # the engine makes its own copy of the bytes, and this one is freed when this function returns
    data = read_verified_graph(bundle, flavour)
    return onnxruntime_backend.OnnxRuntimeRunner(
        bundle, data, flavour, chosen, threads=threads, streams=streams
    )


def resolve_backend(backend: BackendChoice) -> Backend:
    """Return the back end that "auto" tries first here, or `backend` if it can be used.

    TensorRT where there is one, CUDA where ONNX Runtime can use it, else the CPU.

    Raises:
        DependencyError: What the back end needs is not installed.
    """
    from edgeseg.runtime.backends import onnxruntime_backend  # noqa: PLC0415  # see above

    if backend in ("tensorrt", "tensorrt-rtx"):
        return backend
    if backend == "auto":
        native = native_runner.available_backends()
        return native[0] if native else onnxruntime_backend.fastest_backend()
    onnxruntime_backend.require_backend(backend)
    return backend
