"""Stand-ins for the `tensorrt` module of nine versions, which need a GPU and cannot run here.

Names, argument lists and enum integers come from `trt_api.json` (see derive.py), and anything else
is refused: an attribute that a version lacks, an unknown keyword, a wrong number of arguments, an
enum of another type. What a fake engine computes is real: ONNX Runtime runs the graph on the
"device" memory of `FakeCuda`. Which kernels TensorRT would choose, how fast they are and how it
rounds cannot be learned from it.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import inspect
import json
import os
import threading
import time
import types
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import onnxruntime

from tests.fakes.cudart_fake import FakeCuda

API = json.loads(Path(__file__).with_name("trt_api.json").read_text())
VERSIONS: list[str] = API["versions"]
MARK = b"FAKEPLAN"
FAULTS = {
    "builder",
    "builder-silent",
    "parse",
    "build",
    "build-silent",
    "timing",
    "no-timing",
    "deserialize",
    "context",
    "address",
    "infer_shapes",
    "execute",
    "inspector",
    "float",
    "types",
    "extra",
    "wrong-mask",
    "abort",
    "exit",
    "hang",
    "dla",
}
Facts = dict[str, Any]  # Any: what json holds
T = TypeVar("T")


class Severity(enum.Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class Named(enum.Enum):
    """As pybind11 makes enums: an integer only when asked."""

    def __int__(self) -> int:
        return int(self.value)


class ErrorCode(Named):
    UNSUPPORTED_NODE = 8


@functools.cache
def session(data: bytes) -> Any:  # Any: onnxruntime has no types
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def starting(table: dict[str, Any], index: int) -> Any:  # Any: what the table holds
    """The entry that holds from some version on."""
    fitting = [int(since) for since in table if int(since) <= index]
    return table[str(max(fitting))] if fitting else None


class Strict:
    """An object that has the members its class has in one version, and no others."""

    _trt: FakeTensorRT
    _kind: str

    def __getattribute__(self, name: str) -> Any:  # Any: whatever it holds
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        facts = self._trt._facts(self._kind, name)
        try:
            value = object.__getattribute__(self, name)
        except AttributeError:
            raise NotImplementedError(
                f"the stand-in has no {self._kind}.{name}; give it one"
            ) from None
        if "calls" not in facts:
            return value
        return functools.partial(self._trt._call, f"{self._kind}.{name}", facts["calls"], value)

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_"):
            facts = self._trt._facts(self._kind, name)
            if not facts.get("property"):
                raise AttributeError(f"can't set attribute {name!r} of {self._kind}")
            self._trt.log.append(f"{self._kind}.{name} = {getattr(value, 'name', value)}")
        object.__setattr__(self, name, value)


class ILogger:
    """To be derived from; pybind11 demands that its `__init__` is called."""

    Severity = Severity
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = Severity

    def __init__(self) -> None:
        self._ready = True

    def log(self, severity: enum.Enum, msg: str) -> None:
        raise NotImplementedError


class HostMemory(Strict):
    _kind = "IHostMemory"

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bytes__(self) -> bytes:
        return self._data

    @property
    def nbytes(self) -> int:
        return len(self._data)


class Tensor(Strict):
    _kind = "ITensor"

    def __init__(self, value: onnx.ValueInfoProto) -> None:
        tensor = value.type.tensor_type
        object.__setattr__(self, "name", value.name)
        object.__setattr__(self, "shape", tuple(side.dim_value or -1 for side in tensor.shape.dim))
        names = {1: "FLOAT", 2: "UINT8", 7: "INT64"}  # by ONNX's numbers
        object.__setattr__(self, "dtype", getattr(self._trt.DataType, names[tensor.elem_type]))


class Network(Strict):
    _kind = "INetworkDefinition"

    def __init__(self, flags: int) -> None:
        self._flags, self._data = flags, b""
        self._inputs: list[Tensor] = []
        self._outputs: list[Tensor] = []

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    def get_input(self, index: int) -> Tensor:
        return self._inputs[index]

    def get_output(self, index: int) -> Tensor:
        return self._outputs[index]


class TimingCache(Strict):
    _kind = "ITimingCache"

    def __init__(self, data: bytes) -> None:
        self._data = data

    def serialize(self) -> HostMemory:
        return self._trt._new(HostMemory, self._data)


class Config(Strict):
    _kind = "IBuilderConfig"

    def __init__(self) -> None:
        self._set: list[str] = []
        self._cache: TimingCache | None = None
        for name, value in (
            ("builder_optimization_level", 3),
            ("max_aux_streams", -1),
            ("DLA_core", -1),
        ):
            object.__setattr__(self, name, value)
        object.__setattr__(
            self, "profiling_verbosity", self._trt.ProfilingVerbosity.LAYER_NAMES_ONLY
        )
        object.__setattr__(self, "default_device_type", self._trt.DeviceType.GPU)

    def set_memory_pool_limit(self, pool: Named, pool_size: int) -> None:
        assert pool_size > 0

    def set_flag(self, flag: Named) -> None:
        self._set.append(flag.name)

    def create_timing_cache(self, serialized_timing_cache: bytes) -> TimingCache | None:
        if "no-timing" in self._trt.faults:
            return None
        return self._trt._new(TimingCache, serialized_timing_cache)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        mine = self._trt.__version__.encode()
        if cache._data and ("timing" in self._trt.faults or cache._data != b"timings of " + mine):
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> TimingCache | None:
        if self._cache is not None:
            self._cache._data = b"timings of " + self._trt.__version__.encode()
        return self._cache


class ParserError(Strict):
    _kind = "ParserError"

    def __init__(self, text: str, node: int) -> None:
        self._text, self._node = text, node

    def desc(self) -> str:
        return self._text

    def node(self) -> int:
        return self._node

    def code(self) -> Named:
        return ErrorCode.UNSUPPORTED_NODE

    def node_name(self) -> str:
        return f"node{self._node}"

    def node_operator(self) -> str:
        return "Resize"


class OnnxParser(Strict):
    _kind = "OnnxParser"

    def __init__(self, network: Network, logger: ILogger) -> None:
        assert isinstance(network, Network) and logger._ready
        self._network = network
        self._errors: list[ParserError] = []

    def parse(self, model: bytes, path: str | None = None) -> bool:
        if "parse" in self._trt.faults:
            texts = ["Assertion failed: mode\nis not supported", "Error parsing text format"]
            self._errors = [
                self._trt._new(ParserError, text, index + 3) for index, text in enumerate(texts)
            ]
            return False
        graph = onnx.load_model_from_string(bytes(model)).graph
        self._network._data = bytes(model)
        self._network._inputs = [self._trt._new(Tensor, value) for value in graph.input]
        self._network._outputs = [self._trt._new(Tensor, value) for value in graph.output]
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]


class Builder(Strict):
    _kind = "Builder"

    def __init__(self, logger: ILogger) -> None:
        assert isinstance(logger, ILogger) and logger._ready, "ILogger.__init__ was not called"
        self._logger = logger
        if self._trt.faults & {"builder", "builder-silent"}:
            if "builder" in self._trt.faults:
                logger.log(Severity.INTERNAL_ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    @property
    def num_DLA_cores(self) -> int:
        return 2 if "dla" in self._trt.faults else 0

    def create_network(self, flags: int = 0) -> Network:
        bits = {1 << int(flag) for flag in self._trt.NetworkDefinitionCreationFlag}
        assert flags & ~sum(bits) == 0, f"unknown network flags {flags}"
        if (
            "EXPLICIT_BATCH" in self._trt.NetworkDefinitionCreationFlag.__members__
            and self._trt._index == 0
        ):
            assert flags & 1 << int(self._trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
        return self._trt._new(Network, flags)

    def create_builder_config(self) -> Config:
        return self._trt._new(Config)

    def build_serialized_network(
        self, network: Network, config: Config, kernel_text: object = None
    ) -> HostMemory | None:
        faults, say = self._trt.faults, self._logger.log
        say(Severity.VERBOSE, "a thousand lines that nobody reads")
        say(Severity.INFO, "Timing Runner: Conv_0 (CaskConvolution)")
        if "abort" in faults:
            os.abort()
        if "exit" in faults:
            os._exit(7)
        if "hang" in faults:
            time.sleep(600)
        if "build" in faults:
            say(Severity.WARNING, "weights were clipped")
            say(Severity.ERROR, "[optimizer.cpp] Could not find any implementation for node Conv_0")
        if faults & {"build", "build-silent"}:
            return None
        data = network._data
        quantized = any(
            node.op_type == "QuantizeLinear"
            for node in onnx.load_model_from_string(data).graph.node
        )
        if quantized and hasattr(self._trt.BuilderFlag, "INT8") and "INT8" not in config._set:
            say(Severity.ERROR, "Q/DQ layers need the INT8 flag")
            return None
        facts = {
            "version": self._trt.__version__,
            "flags": config._set,
            "detailed": config.profiling_verbosity.name == "DETAILED",
        }
        return self._trt._new(HostMemory, MARK + json.dumps(facts).encode() + b"\n" + data)


class Runtime(Strict):
    _kind = "Runtime"

    def __init__(self, logger: ILogger) -> None:
        assert logger._ready
        self._logger = logger
        object.__setattr__(self, "DLA_core", -1)

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine | None:
        head, _, data = serialized_engine.partition(b"\n")
        fits = (
            head.startswith(MARK)
            and json.loads(head[len(MARK) :])["version"] == self._trt.__version__
        )
        if not fits or "deserialize" in self._trt.faults:
            self._logger.log(
                Severity.ERROR,
                "Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed",
            )
            return None
        return self._trt._new(Engine, json.loads(head[len(MARK) :]), data)

    def __del__(self) -> None:
        self._trt.log.append("del Runtime")


class Engine(Strict):
    _kind = "ICudaEngine"

    def __init__(self, facts: Facts, data: bytes) -> None:
        graph = onnx.load_model_from_string(data).graph
        self._facts, self._data = facts, data
        self._io = [(self._trt._new(Tensor, value), "INPUT") for value in graph.input]
        self._io += [(self._trt._new(Tensor, value), "OUTPUT") for value in graph.output]
        if "extra" in self._trt.faults:
            self._io.pop()

    def _tensor(self, name: str) -> tuple[Tensor, str]:
        return next(pair for pair in self._io if pair[0].name == name)

    @property
    def num_io_tensors(self) -> int:
        return len(self._io)

    def get_tensor_name(self, index: int) -> str:
        return str(self._io[index][0].name)

    def get_tensor_mode(self, name: str) -> Named:
        return self._trt._enum("TensorIOMode", self._tensor(name)[1])

    def get_tensor_dtype(self, name: str) -> Named:
        if "types" in self._trt.faults and name == "score":
            return self._trt._enum("DataType", "HALF")
        found: Named = self._tensor(name)[0].dtype
        return found

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._tensor(name)[0].shape)

    def get_tensor_location(self, name: str) -> Named:
        return self._trt._enum("TensorLocation", "DEVICE")

    def create_execution_context(self, *_: object) -> Context | None:
        return None if "context" in self._trt.faults else self._trt._new(Context, self)

    def create_engine_inspector(self) -> Inspector:
        return self._trt._new(Inspector, self)

    def __del__(self) -> None:
        self._trt.log.append("del ICudaEngine")


class Context(Strict):
    _kind = "IExecutionContext"

    def __init__(self, engine: Engine) -> None:
        self._data, self._names = engine._data, [tensor.name for tensor, _ in engine._io]
        self._shapes = {tensor.name: tensor.shape for tensor, _ in engine._io}
        self._addresses: dict[str, int] = {}
        self._busy = threading.Lock()

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


class Inspector(Strict):
    _kind = "EngineInspector"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get_engine_information(self, format: Named) -> str:
        assert format.name == "JSON"
        if "inspector" in self._trt.faults:
            return "not json"
        graph = onnx.load_model_from_string(self._engine._data).graph
        makers = {output: node for node in graph.node for output in node.output}
        layers = [
            self._layer(node, makers)
            for node in graph.node
            if node.op_type in ("Conv", "Resize", "QuantizeLinear")
        ]
        if not self._engine._facts["detailed"]:
            layers = [layer["Name"] for layer in layers]
        return json.dumps(
            {"Layers": layers, ("I/O Tensors" if self._trt._index >= 6 else "Bindings"): ["image"]}
        )

    def _layer(self, node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> Facts:
        source = makers.get(node.input[0])
        int8 = (
            source is not None
            and source.op_type == "DequantizeLinear"
            and "float" not in self._trt.faults
        )
        kinds = {"Conv": "CaskConvolution", "Resize": "Resize", "QuantizeLinear": "Reformat"}
        return {
            "Name": node.name or node.output[0],
            "LayerType": kinds[node.op_type],
            "Inputs": [self._format("Int8" if int8 else "FP32")],
            "Outputs": [self._format("FP32")],
        }

    def _format(self, kind: str) -> Facts:
        if self._trt._index >= 6:
            return {"Name": "x", "Format": "Row major linear", "Datatype": kind}
        return {
            "Name": "x",
            "Format/Datatype": f"Thirty-two wide channel vectorized row major {kind} format",
        }


class FakeTensorRT(types.ModuleType):
    """`tensorrt` of one version.

    Attributes:
        log: every call, in order, together with those of `cuda`.
        faults: which of `FAULTS` to show.
    """

    def __init__(self, version: str, cuda: FakeCuda, faults: set[str] | None = None) -> None:
        super().__init__("tensorrt")
        assert (faults or set()) <= FAULTS, faults
        self.__version__ = version
        self.cuda, self.log, self.faults = cuda, cuda.log, set(faults or ())
        self._index = VERSIONS.index(version)
        self.ILogger = ILogger
        for name, values in API["enums"].items():
            found = starting(values, self._index)
            if found is not None:
                setattr(self, name, enum.Enum(name, found, type=Named))
        for kind in (Builder, OnnxParser, Runtime):
            setattr(self, kind.__name__, functools.partial(self._construct, kind))
        for name in [name for name in vars(self) if name in API["module"]]:
            assert self._has(API["module"][name]), f"{name} is not in {version}"

    def __getattr__(self, name: str) -> Any:  # Any: never returns
        if name in API["module"] and self._has(API["module"][name]):
            raise NotImplementedError(f"the stand-in has no tensorrt.{name}; give it one")
        raise AttributeError(f"module 'tensorrt' has no attribute {name!r}")

    def _has(self, versions: list[int] | None) -> bool:
        return versions is None or self._index in versions

    def _facts(self, kind: str, name: str) -> Facts:
        facts: Facts | None = API["classes"][kind].get(name)
        if facts is None or not self._has(facts.get("in")):
            raise AttributeError(f"'tensorrt.{kind}' object has no attribute {name!r}")
        return facts

    def _new(self, kind: type[T], *arguments: object) -> T:
        made: Any = type(
            kind.__name__, (kind,), {"_trt": self}
        )  # Any: a class that mypy cannot see
        found: T = made(*arguments)
        return found

    def _enum(self, kind: str, member: str) -> Named:
        found: Named = getattr(self, kind)[member]
        return found

    def _construct(self, kind: Any, *arguments: object, **named: object) -> Any:  # Any: as `_new`
        calls = API["classes"][kind._kind]["__init__"]["calls"]
        return self._call(
            kind._kind, calls, functools.partial(self._new, kind), *arguments, **named
        )

    def _call(  # Any: what json holds, and any function
        self, name: str, calls: dict[str, Any], function: Any, *arguments: object, **named: object
    ) -> Any:
        for overload in starting(calls, self._index):
            if self._fits(overload, arguments, named):
                break
        else:
            raise TypeError(f"{name}(): incompatible function arguments {arguments} {named}")
        values = [value for value in (*arguments, *named.values()) if _short(value)]
        shown = ", ".join(str(getattr(value, "name", value)) for value in values)
        self.log.append(f"{name}({shown})")
        return function(*arguments, **named)

    def _fits(
        self, overload: list[str], arguments: tuple[object, ...], named: dict[str, object]
    ) -> bool:
        wanted = [text.partition(":") for text in overload]
        parameters = [
            inspect.Parameter(
                name.rstrip("?"),
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=None if name.endswith("?") else inspect.Parameter.empty,
            )
            for name, _, _ in wanted
        ]
        try:
            bound = inspect.Signature(parameters).bind(*arguments, **named).arguments
        except TypeError:
            return False
        kinds = {name.rstrip("?"): kind for name, _, kind in wanted if kind}
        plain = {"int": int, "str": str, "bool": bool}
        return all(
            type(bound[name]) is plain[kind]
            if kind in plain
            else isinstance(bound[name], getattr(self, kind))
            for name, kind in kinds.items()
            if name in bound
        )


def _short(value: object) -> bool:
    return isinstance(value, (Named, bool, int)) or (isinstance(value, str) and len(value) < 40)
