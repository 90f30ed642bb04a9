"""What a stand-in for TensorRT runs engines with; ONNX Runtime computes."""

from __future__ import annotations

import ctypes
import functools
import json
import threading
from typing import Any

import numpy as np
import onnx
import onnxruntime

from tests.fakes.objects.builder import MARK, Tensor
from tests.fakes.objects.inspector import Inspector
from tests.fakes.objects.logger import ILogger, Severity, log_error, log_message
from tests.fakes.objects.pybind_values import PybindEnum
from tests.fakes.objects.runtime_cache import RuntimeConfig
from tests.fakes.objects.strict import Strict

Facts = dict[str, Any]  # Any: what json holds


@functools.cache
def session(data: bytes) -> Any:  # Any: onnxruntime has no types
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


class Runtime(Strict):
    _kind = "Runtime"

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger
        usable = self._trt.has_driver or self._trt.is_rtx
        assert usable, "the real library crashes when such a runtime is used or released"
        self._trt._register(self, logger)
        self._have(DLA_core=-1, engine_host_code_allowed=False)

    def _accepted(self, name: str, value: Any) -> Any:  # Any: as `Strict`
        if name == "DLA_core" and value >= self._trt.dla_cores:
            return self._value(name)
        return value

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Engine | None:  # Any: a buffer
        data = bytes(serialized_engine)
        reason = self._refusal(data)
        if reason:
            log_error(self._logger, f"IRuntime::deserializeCudaEngine: {reason}")
            return None
        head, _, graph = data.partition(b"\n")
        return self._make(Engine, json.loads(head[len(MARK) :]), graph)

    def _refusal(self, data: bytes) -> str:
        if not data:
            return "API Usage Error (Cannot deserialize with an empty memory buffer.)"
        facts = _head(data)
        if facts.get("version") != self._trt.__version__ or "deserialize" in self._trt.faults:
            return (
                "Error Code 1: Serialization (Serialization assertion stdVersionRead == "
                "kSERIALIZATION_VERSION failed)"
            )
        if not self._trt.has_driver:
            return str(self._trt.driver_error)
        if not self._serves(facts["targets"]):
            return "The engine was built for other compute capabilities"
        return ""

    def _serves(self, targets: list[str]) -> bool:
        """Whether this GPU is among those that an engine was built for."""
        major, minor = self._trt.cuda.compute
        return not targets or not {f"SM{major}{minor}", "CURRENT"}.isdisjoint(targets)

    def get_engine_validity(self, buffer: Any) -> tuple[Any, int]:  # Any: a buffer; an enum
        problems = vars(self._trt)["EngineInvalidityDiagnostics"].__members__
        facts = _head(bytes(buffer))
        if "version" not in facts:
            found = int(problems["MALFORMED_ENGINE"])
        elif facts["version"] != self._trt.__version__:
            found = int(problems["VERSION_MISMATCH"])
        elif not self._trt.has_driver:
            log_message(
                self._logger,
                Severity.INTERNAL_ERROR,
                f"Error reading CUDA GPU properties: {self._trt.driver_error}",
            )
            return self._trt._enum("EngineValidity", "INVALID"), 0
        else:
            found = 0 if self._serves(facts["targets"]) else int(problems["UNSUPPORTED_CC"])
        return self._trt._enum("EngineValidity", "INVALID" if found else "VALID"), found

    def __del__(self) -> None:
        self._trt.log.append("del Runtime")


def _head(data: bytes) -> Facts:
    """What an engine says of itself; nothing if it is none."""
    head = data.partition(b"\n")[0]
    found: Facts = json.loads(head[len(MARK) :]) if head.startswith(MARK) else {}
    return found


class Engine(Strict):
    _kind = "ICudaEngine"

    def __init__(self, facts: Facts, data: bytes) -> None:
        graph = onnx.load_model_from_string(data).graph
        self._facts, self._data = facts, data
        self._io = [(self._make(Tensor, value), "INPUT") for value in graph.input]
        self._io += [(self._make(Tensor, value), "OUTPUT") for value in graph.output]
        if "extra" in self._trt.faults:
            self._io.pop()

    def _tensor(self, name: str) -> tuple[Tensor, str]:
        return next(pair for pair in self._io if pair[0]._value("name") == name)

    @property
    def num_io_tensors(self) -> int:
        return len(self._io)

    def get_tensor_name(self, index: int) -> str:
        return str(self._io[index][0]._value("name"))

    def get_tensor_mode(self, name: str) -> Any:  # Any: mypy knows no member
        return self._trt._enum("TensorIOMode", self._tensor(name)[1])

    def get_tensor_dtype(self, name: str) -> Any:  # Any: mypy knows no member
        if "types" in self._trt.faults and name == "score":
            return self._trt._enum("DataType", "HALF")
        return self._tensor(name)[0]._value("dtype")

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._tensor(name)[0]._value("shape"))

    def get_tensor_location(self, name: str) -> Any:  # Any: mypy knows no member
        return self._trt._enum("TensorLocation", "DEVICE")

    def create_runtime_config(self) -> RuntimeConfig:
        return self._make(RuntimeConfig)

    def create_execution_context(
        self, runtime_config: RuntimeConfig | PybindEnum | None = None, strategy: object = None
    ) -> Context | None:
        if "context" in self._trt.faults:
            return None
        config = runtime_config if isinstance(runtime_config, RuntimeConfig) else None
        return self._make(Context, self, config)

    def create_engine_inspector(self) -> Inspector:
        return self._make(Inspector, self._facts, self._data)

    def __del__(self) -> None:
        self._trt.log.append("del ICudaEngine")


class Context(Strict):
    _kind = "IExecutionContext"

    def __init__(self, engine: Engine, config: RuntimeConfig | None) -> None:
        self._data, self._names = engine._data, [tensor._value("name") for tensor, _ in engine._io]
        self._shapes = {tensor._value("name"): tensor._value("shape") for tensor, _ in engine._io}
        self._addresses: dict[str, int] = {}
        self._busy = threading.Lock()
        self._kernels = config._cache if config is not None else None

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if "address" in self._trt.faults and name == "score":
            return False
        assert name in self._names
        self._trt.cuda.resolve(memory)
        self._addresses[name] = memory
        return True

    def infer_shapes(self) -> list[str]:
        return ["image"] if "infer_shapes" in self._trt.faults else []

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert set(self._addresses) == set(self._names), "an address is missing"
        assert stream_handle in self._trt.cuda.live["stream"], "no such stream"
        if "execute" in self._trt.faults:
            return False
        if self._kernels is not None:
            self._kernels._fill()
        self._trt.cuda.put(stream_handle, self._compute)
        return True

    def _compute(self) -> None:
        cuda = self._trt.cuda
        if not self._busy.acquire(blocking=False):
            cuda.faults.append("one context was used by two threads at once")
            return
        try:
            shape = self._shapes["image"]
            size = int(np.prod(shape))
            image = np.frombuffer(
                ctypes.string_at(cuda.resolve(self._addresses["image"]), size), np.uint8
            )
            names = [name for name in self._names if name != "image"]
            for name, value in zip(
                names, session(self._data).run(names, {"image": image.reshape(shape)})
            ):
                if name == "mask" and "wrong-mask" in self._trt.faults:
                    value = np.zeros_like(value)
                ctypes.memmove(cuda.resolve(self._addresses[name]), value.tobytes(), value.nbytes)
        finally:
            self._busy.release()

    def __del__(self) -> None:
        self._trt.log.append("del IExecutionContext")
