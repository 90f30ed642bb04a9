"""Opens a bundle for inference: picks back end and file, and returns one callable.

The file that runs is chosen in `flavour_choice`, its bytes are checked in
`edgeseg.bundle.verification`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import NamedTuple

import numpy as np

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Backend, Flavour, flavours_of
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.config import EngineConfig
from edgeseg.errors import DependencyError, EngineError
from edgeseg.processor import available_cores
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.base import BackendChoice, PrecisionChoice, Runner
from edgeseg.runtime.backends.flavour_choice import choose_flavour
from edgeseg.runtime.backends.measured_choice import MeasuredFile, find_measurement
from edgeseg.runtime.backends.openvino import library as openvino_library
from edgeseg.runtime.backends.openvino.openvino_runner import RunnerSettings, open_openvino
from edgeseg.runtime.backends.tensorrt import native_runner

# `native_runner` and the room of OpenVINO need no optional package to be imported, and import in a
# few milliseconds.
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
        backend: "auto" takes TensorRT where it works, else ONNX Runtime on CUDA, else on the CPU
            ONNX Runtime, or OpenVINO where `edgeseg bench` found it faster here. "cpu" is ONNX
            Runtime, "tensorrt" and "tensorrt-rtx" are native, "ort-tensorrt" is ONNX Runtime's
            provider. The first run on TensorRT builds an engine, which takes minutes.
        precision: "auto" takes INT8 where the bundle holds the back end's flavour and its own
            figures do not call it slower than FP32; on TensorRT, and on a CPU that `edgeseg bench`
            measured, what was fastest here. The name of a flavour picks that file.
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
        DependencyError: ONNX Runtime, the part of it that the back end needs, or OpenVINO is not
            installed.
        EngineError: TensorRT or OpenVINO was asked for, and cannot build or run the engine.
        KeyboardInterrupt: `stop` ended a build.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    with ExitStack() as stack:
        runner: Runner | None = None
        if backend in ("auto", "tensorrt", "tensorrt-rtx"):
            wanted = native_runner.RunnerRequest(
                bundle=opened,
                precision=precision,
                config=engine or EngineConfig(),
                streams=streams,
                report=report or NullReporter(),
                stopped=stop.is_set if stop is not None else lambda: False,
            )
            native = (
                native_runner.open_native(wanted, backend)
                if backend == "tensorrt" or backend == "tensorrt-rtx"
                else native_runner.try_open_native(wanted)
            )
            if native is not None:
                stack.callback(native.close)
                runner = native
        if runner is None:
            threads = threads or available_cores()
            request = _Request(opened, precision, threads, streams, report or NullReporter())
            runner = _open_auto(request) if backend == "auto" else _open_named(request, backend)
        blank = np.zeros((1, opened.manifest.height, opened.manifest.width, 3), np.uint8)
        for _ in range(WARM_UP_CALLS):
            runner(blank)
        yield runner


class _Request(NamedTuple):
    """What a runner without TensorRT is opened with; see `open_runner`."""

    bundle: Bundle
    precision: PrecisionChoice | Flavour
    threads: int
    streams: int
    report: ProgressReporter

    def measured(self, backends: Sequence[Backend] = ()) -> MeasuredFile | None:
        """Return what was fastest here on the CPU; None if that was not measured."""
        measurement = find_measurement(self.bundle, self.threads)
        return measurement.fastest(self.precision, backends) if measurement else None

    def streams_on_cpu(self) -> int:
        return self.streams or min(self.threads, MAX_STREAMS)


def _open_auto(request: _Request) -> Runner:
    """Return ONNX Runtime on CUDA where it can, else on the CPU what was fastest here."""
    from edgeseg.runtime.backends import onnxruntime_backend  # noqa: PLC0415  # see above

    chosen = onnxruntime_backend.fastest_backend()
    best = request.measured() if chosen == "cpu" else None
    if best is None:
        if chosen == "cpu" and openvino_library.is_installed():
            request.report.say(
                "OpenVINO is installed; once `edgeseg bench` has timed it here on "
                f"{request.threads} threads, --backend auto takes it if it is faster"
            )
        return _open_named(request, chosen)
    if best.backend == "openvino":
        try:
            return _open_openvino(request, [best.flavour])
        except (DependencyError, EngineError) as error:
            request.report.say(f"going on without OpenVINO: {error}")
        best = request.measured(["cpu"])
    return _open_onnxruntime(request, "cpu", best.flavour if best is not None else None)


def _open_named(request: _Request, backend: Backend) -> Runner:
    if backend != "openvino":
        return _open_onnxruntime(request, backend)
    best = request.measured(["openvino"])
    if best is not None:
        return _open_openvino(request, [best.flavour])
    first = choose_flavour(request.bundle, "openvino", request.precision)
    others = [
        flavour
        for flavour in flavours_of("openvino")
        if FLAVOURS[flavour].preference > FLAVOURS[first].preference
        and request.bundle.holds(flavour)
    ]
    return _open_openvino(request, [first, *(others if request.precision == "auto" else ())])


def _open_openvino(request: _Request, flavours: Sequence[Flavour]) -> Runner:
    settings = RunnerSettings(
        threads=request.threads, streams=request.streams_on_cpu(), report=request.report
    )
    return open_openvino(request.bundle, flavours, settings)


def _open_onnxruntime(
    request: _Request, backend: Backend, measured: Flavour | None = None
) -> Runner:
    from edgeseg.runtime.backends import onnxruntime_backend  # noqa: PLC0415  # see above

    onnxruntime_backend.require_backend(backend)
    bundle = request.bundle
    flavour = measured or choose_flavour(bundle, backend, request.precision)
    streams = request.streams_on_cpu() if backend == "cpu" else request.streams or 1
    # the engine makes its own copy of the bytes, and this one is freed when this function returns
    data = read_verified_graph(bundle, flavour)
    return onnxruntime_backend.OnnxRuntimeRunner(
        bundle, data, flavour, backend, threads=request.threads, streams=streams
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
    if backend == "openvino":
        openvino_library.import_openvino()
        return backend
    if backend == "auto":
        native = native_runner.available_backends()
        return native[0] if native else onnxruntime_backend.fastest_backend()
    onnxruntime_backend.require_backend(backend)
    return backend
