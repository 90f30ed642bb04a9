"""What a stand-in for TensorRT for RTX keeps of kernels that it compiled at the first run."""

from __future__ import annotations

from typing import Any

from tests.fakes.objects.builder_config import HostMemory
from tests.fakes.objects.strict import Strict


class RuntimeCache(Strict):
    """Taken only by the version and GPU that filled it, as NVIDIA documents it."""

    _kind = "IRuntimeCache"

    def __init__(self) -> None:
        self._data = b""

    def _fill(self) -> None:
        self._data = self._mine()

    def _mine(self) -> bytes:
        trt = self._trt
        return f"kernels of {trt.__version__} for {trt.cuda.compute}".encode()

    def serialize(self) -> HostMemory:
        return self._make(HostMemory, self._data)

    def deserialize(self, blob: Any) -> bool:  # Any: a buffer
        if bytes(blob) != self._mine():
            return False
        self._data = bytes(blob)
        return True

    def reset(self) -> bool:
        self._data = b""
        return True


class RuntimeConfig(Strict):
    _kind = "IRuntimeConfig"

    def __init__(self) -> None:
        self._cache: RuntimeCache | None = None
        if self._trt.is_rtx:
            self._have(cuda_graph_strategy=self._trt._enum("CudaGraphStrategy", "DISABLED"))

    def create_runtime_cache(self) -> RuntimeCache:
        return self._make(RuntimeCache)

    def set_runtime_cache(self, cache: RuntimeCache | None = None) -> bool:
        self._cache = cache
        return True

    def get_runtime_cache(self) -> RuntimeCache | None:
        return self._cache
