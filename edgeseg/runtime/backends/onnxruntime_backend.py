"""ONNX Runtime as a back end: sessions on the CPU, on CUDA, or on its own TensorRT provider."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Backend, Flavour
from edgeseg.bundle.graph_signature import OUTPUTS
from edgeseg.errors import BundleError, DependencyError
from edgeseg.installation import install_command
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.backends.cuda_runtime import has_gpu
from edgeseg.runtime.backends.engine_cache import EngineCache

PROVIDERS: dict[Backend, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "ort-tensorrt": "TensorrtExecutionProvider",
}
# It would give transposed convolutions between integers, which are float in the file, INT8 weights
# with one scale for all channels, and compute them in float all the same.
DISABLED_OPTIMIZERS = ["WeightBiasQuantization"]
ERRORS_ONLY = 3  # errors only: ONNX Runtime warns about things that a user cannot change

try:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as _state
except ImportError:
    raise DependencyError(
        f"ONNX Runtime, which runs the bundle, is not installed; run `{install_command('device')}`"
    ) from None

ENGINE_ERRORS = tuple(
    getattr(_state, name)
    for name in (
        "EPFail",
        "EngineError",
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NotImplemented",
        "RuntimeException",
    )
    if hasattr(_state, name)
)  # they share no base but Exception, and versions differ in which there are


def fastest_backend() -> Backend:
    """Return CUDA where this ONNX Runtime has it and there is a device, else the CPU."""
    return (
        "cuda"
        if PROVIDERS["cuda"] in onnxruntime.get_available_providers() and has_gpu()
        else "cpu"
    )


def require_backend(backend: Backend) -> None:
    """Check that this ONNX Runtime was built with `backend`.

    Raises:
        DependencyError: It was built without.
    """
    if PROVIDERS[backend] not in onnxruntime.get_available_providers():
        raise DependencyError(
            f"this ONNX Runtime ({onnxruntime.__version__}) cannot use {backend}; install "
            "onnxruntime-gpu in place of onnxruntime (on a Jetson: NVIDIA's build for your "
            "JetPack), or use --backend cpu"
        )


class OnnxRuntimeRunner:
    """One session as a back end; see `edgeseg.runtime.backends.base.Runner`."""

    def __init__(
        self,
        bundle: Bundle,
        data: bytes,
        flavour: Flavour,
        backend: Backend,
        *,
        threads: int,
        streams: int,
    ) -> None:
        """Make the session.

        Args:
            data: The graph, already verified.
            threads: CPU threads over all streams.

        Raises:
            BundleError: ONNX Runtime refuses the graph.
            DependencyError: The back end cannot start on this machine.
        """
        self.bundle, self.flavour, self.backend, self.streams = bundle, flavour, backend, streams
        self._file = bundle.path / FLAVOURS[flavour].file
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        options.intra_op_num_threads = max(1, threads // streams)
        options.inter_op_num_threads = 1
        # idle threads must not spin: decoding and writing need the cores
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.load_model_format", "ONNX")
        if backend == "ort-tensorrt":
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        try:
            self._session = onnxruntime.InferenceSession(
                data,
                options,
                providers=_providers(backend, flavour, data),
                disabled_optimizers=DISABLED_OPTIMIZERS,
            )
        except ENGINE_ERRORS as error:
            raise BundleError(
                f"ONNX Runtime {onnxruntime.__version__} cannot load {self._file} "
                f"({_first_line(error)}); update onnxruntime or export the bundle again"
            ) from None
        if self._session.get_providers()[0] != PROVIDERS[backend]:
            raise DependencyError(
                f"ONNX Runtime could not start {backend} on this machine; `edgeseg doctor` shows "
                "what is missing, --backend cpu runs without it"
            )
        self._takes_one_frame = self._session.get_inputs()[0].shape[0] == 1

    def __call__(self, frames: NDArray[np.uint8]) -> Prediction:
        """Predict frames, (N, H, W, 3) uint8 RGB at the graph's size.

        A graph that takes one frame is called N times.

        Raises:
            BundleError: The engine fails.
        """
        try:
            # plain calls: output binding was measured and wins less than 1 % on the CPU
            if not self._takes_one_frame or len(frames) == 1:
                return Prediction(*self._session.run(OUTPUTS, {"image": frames}))
            parts = [
                self._session.run(OUTPUTS, {"image": frames[index : index + 1]})
                for index in range(len(frames))
            ]
        except ENGINE_ERRORS as error:
            raise BundleError(
                f"{self._file} failed on {self.backend} ({_first_line(error)}); try "
                "--precision fp32 or --backend cpu"
            ) from None
        return Prediction(*(np.concatenate(part) for part in zip(*parts)))


def _providers(
    backend: Backend, flavour: Flavour, data: bytes
) -> list[Any]:  # Any: names, or names with options
    """Return the providers of `backend`, and those that run what it cannot."""
    if backend == "cpu":
        return [PROVIDERS["cpu"]]
    if backend == "cuda":
        return [PROVIDERS["cuda"], PROVIDERS["cpu"]]
    engines = EngineCache()
    engines.open()
    cache = engines.folder / f"onnxruntime-{hashlib.sha256(data).hexdigest()[:32]}"
    cache.mkdir(exist_ok=True, mode=0o700)
    options = {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(cache),
        "trt_fp16_enable": FLAVOURS[flavour].precision != "fp32",
        "trt_int8_enable": FLAVOURS[flavour].precision == "int8",
    }
    return [(PROVIDERS["ort-tensorrt"], options), PROVIDERS["cuda"], PROVIDERS["cpu"]]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no reason given"])[0][:200]
