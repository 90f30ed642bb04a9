"""The settings of a build, and timing caches, of a stand-in for TensorRT."""

from __future__ import annotations

import warnings
from typing import Any

from tests.fakes.objects.logger import ILogger, Severity, log_error, log_message
from tests.fakes.objects.pybind_values import PybindEnum
from tests.fakes.objects.strict import Strict

HIGHEST_LEVEL = 5
NO_OPS = "Timing cache operations are no-ops in TensorRT-RTX."


class HostMemory(Strict):
    _kind = "IHostMemory"

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bytes__(self) -> bytes:
        return self._data

    @property
    def nbytes(self) -> int:
        return len(self._data)


class TimingCache(Strict):
    _kind = "ITimingCache"

    def __init__(self, data: bytes) -> None:
        self._data = data

    def serialize(self) -> HostMemory:
        return self._make(HostMemory, self._data)


class Config(Strict):
    _kind = "IBuilderConfig"

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger
        self._set: list[str] = []
        self._pools: dict[PybindEnum, int] = {}
        self._targets: list[Any] = []  # Any: members of ComputeCapability
        self._cache: TimingCache | None = None
        if "ComputeCapability" in vars(self._trt):
            self._have(num_compute_capabilities=0)
        self._have(
            builder_optimization_level=3,
            max_aux_streams=-1,
            DLA_core=-1,
            profiling_verbosity=self._trt._enum("ProfilingVerbosity", "LAYER_NAMES_ONLY"),
            default_device_type=self._trt._enum("DeviceType", "GPU"),
        )

    def _accepted(self, name: str, value: Any) -> Any:  # Any: as `Strict`
        if name == "builder_optimization_level":
            if value < 0:
                log_error(self._logger, "API Usage Error (condition: level >= 0)")
                return self._value(name)
            return min(value, HIGHEST_LEVEL)
        has_old_flags = "INT8" in vars(self._trt)["BuilderFlag"].__members__
        if name == "max_aux_streams" and value < 0 and not has_old_flags:
            log_message(self._logger, Severity.WARNING, f"nbStreams {value} has no effect")
            return self._value(name)
        if name == "DLA_core" and value >= self._trt.dla_cores:
            return self._value(name)
        if name == "num_compute_capabilities":
            if value < 0:
                log_error(self._logger, "API Usage Error (condition: number >= 0)")
                raise ValueError("Provided number of compute capabilities is incorrect")
            none = self._trt._enum("ComputeCapability", "NONE")
            self._targets = [*self._targets, *[none] * value][:value]
        return value

    def set_compute_capability(self, compute_capability: PybindEnum, index: int) -> bool:
        current = compute_capability.name == "CURRENT"
        fits = (
            0 <= index < len(self._targets)
            and compute_capability.name not in ("NONE", "???")
            and (not current or len(self._targets) == 1)
        )
        if fits:
            self._targets[index] = compute_capability
        else:
            log_error(self._logger, "API Usage Error (Compute capability is invalid)")
        return fits

    def get_compute_capability(self, index: int) -> Any:  # Any: mypy knows no member
        if 0 <= index < len(self._targets):
            return self._targets[index]
        log_error(self._logger, "API Usage Error (Index of compute capability)")
        return self._trt._enum("ComputeCapability", "NONE")

    def set_memory_pool_limit(self, pool: PybindEnum, pool_size: int) -> None:
        self._pools[pool] = int(pool_size)

    def get_memory_pool_limit(self, pool: PybindEnum) -> int:
        return self._pools.get(pool, 0)

    def set_flag(self, flag: PybindEnum) -> None:
        if flag.name == "???":
            log_error(self._logger, "API Usage Error (condition: builderFlag < EnumMax)")
        else:
            self._set.append(flag.name)

    def get_flag(self, flag: PybindEnum) -> bool:
        return flag.name in self._set

    def clear_flag(self, flag: PybindEnum) -> None:
        self._set = [name for name in self._set if name != flag.name]

    def create_timing_cache(self, serialized_timing_cache: Any) -> TimingCache | None:  # a buffer
        if "no-timing" in self._trt.faults:
            return None
        data = bytes(serialized_timing_cache)
        if self._trt.is_rtx and data:
            log_message(self._logger, Severity.WARNING, "The timing cache will not be used!")
            data = b""
        return self._make(TimingCache, data)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        self._warn()
        mine = self._trt.__version__.encode()
        if cache._data and ("timing" in self._trt.faults or cache._data != b"timings of " + mine):
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> TimingCache | None:
        self._warn()
        if self._cache is not None and not self._trt.is_rtx:
            self._cache._data = b"timings of " + self._trt.__version__.encode()
        return self._cache

    def _warn(self) -> None:
        if self._trt.is_rtx:
            warnings.warn(NO_OPS, DeprecationWarning, stacklevel=4)
