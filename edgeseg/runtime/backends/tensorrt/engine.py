"""Runs a TensorRT engine without torch.

Memory, streams and CUDA graphs go through `edgeseg.runtime.backends.cuda_runtime`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import Backend, Flavour
from edgeseg.bundle.graph_signature import INPUT, OUTPUTS, GraphSignature
from edgeseg.errors import EngineError
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.backends.cuda_runtime import CudaRuntime, TensorMemory
from edgeseg.runtime.backends.tensorrt.libraries import full_name
from edgeseg.runtime.backends.tensorrt.version_differences import (
    TensorRTModule,
    compiles_at_first_run,
)

DATA_TYPES = {"uint8": "UINT8", "float32": "FLOAT"}


class EngineNotLoadable(EngineError):
    """TensorRT does not take an engine that was built here; building it again helps."""


class _ExecutionLane:
    """The context, stream and memory that one frame needs; no two threads may use it at once."""

    def __init__(
        self, cuda: CudaRuntime, stack: ExitStack, signature: GraphSignature, *, shared: bool
    ) -> None:
        self._cuda = cuda
        self.stream = cuda.create_stream(stack)
        self.memory = {
            name: cuda.allocate(stack, shape, kind, shared=shared)
            for name, (shape, kind) in signature.tensors().items()
        }
        self.context: Any = None  # Any: an IExecutionContext
        self.graph: int | None = None

    def enqueue(self) -> None:
        """Begin to compute one frame: copy it in, run the engine, copy the outputs back."""
        self._copy(self._cuda.upload, self.memory[INPUT])
        if not self.context.execute_async_v3(self.stream):
            raise EngineError(
                "TensorRT could not start the engine; build it again with `edgeseg build --force`"
            )
        for name in OUTPUTS:
            self._copy(self._cuda.download, self.memory[name])

    def _copy(self, copy: Callable[[TensorMemory, int], None], memory: TensorMemory) -> None:
        if not memory.shared:
            copy(memory, self.stream)

    def run(self, frame: NDArray[np.uint8]) -> Prediction:
        """Predict one frame, (1, H, W, 3) uint8 RGB."""
        assert frame.shape == self.memory[INPUT].host.shape, (
            "frames come at the graph's size, one by one"
        )
        self.memory[INPUT].host[...] = frame
        if self.graph is None:
            self.enqueue()
        else:
            self._cuda.launch_graph(self.graph, self.stream)
        self._cuda.synchronize(self.stream)
        # copies, since the next frame overwrites the memory
        return Prediction(*(self.memory[name].host.copy() for name in OUTPUTS))


class Engine:
    """An engine ready to run, with as many lanes as frames may be under way at once.

    The order of release matters: contexts before the engine, the engine before its runtime, all of
    them before their memory.

    Attributes:
        notes: Sentences about what works less well than it could.
    """

    def __init__(
        self,
        trt: TensorRTModule,
        cuda: CudaRuntime,
        plan: bytes,
        signature: GraphSignature,
        logger: Any,  # Any: an ILogger of `trt`
        *,
        lanes: int = 1,
        graphs: bool = True,
        mapped: bool = True,
        dla: int | None = None,
        kernels: bytes = b"",
    ) -> None:
        """Load `plan`.

        Args:
            plan: A serialized engine that this TensorRT built on this device.
            signature: What it must take and give.
            logger: Where TensorRT's messages go.
            lanes: The number of frames that may be under way at once.
            graphs: Replay frames as CUDA graphs.
            mapped: Make no copies where CPU and GPU share their memory.
            dla: The core of the deep-learning accelerator that the plan was built for.
            kernels: What `kernels` of an earlier engine of this plan returned, where the library
                compiles at the first run; what does not fit this machine is not used.

        Raises:
            EngineError: It cannot be loaded, takes or gives something else than `signature`, or
                CUDA fails.
        """
        self.notes: list[str] = []
        self._trt, self._cuda, self._logger = trt, cuda, logger
        self._runtime: Any = None  # Any: a Runtime of `trt`
        self._engine: Any = None  # Any: an ICudaEngine
        self._runtime_config: Any = None  # Any: an IRuntimeConfig, where kernels are kept
        self._kernels: Any = None  # Any: an IRuntimeCache
        self._lanes: list[_ExecutionLane] = []
        self._idle: SimpleQueue[_ExecutionLane] = SimpleQueue()
        with ExitStack() as stack:
            shared = mapped and cuda.device.integrated
            self._lanes = [
                _ExecutionLane(cuda, stack, signature, shared=shared) for _ in range(lanes)
            ]
            stack.callback(self._drop)
            self._load(plan, signature, dla)
            if compiles_at_first_run(trt):
                self._use_kernels(kernels)
            for lane in self._lanes:
                self._connect(lane)
                # the first run allocates, which a capture may not
                lane.run(np.zeros(lane.memory[INPUT].host.shape, np.uint8))
                if graphs:
                    self._capture(lane, stack)
                self._idle.put(lane)
            self._stack = stack.pop_all()

    def _load(self, plan: bytes, signature: GraphSignature, dla: int | None) -> None:
        trt = self._trt
        self._runtime = trt.Runtime(self._logger)
        if dla is not None:
            self._runtime.DLA_core = dla
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineNotLoadable(
                f"{full_name(trt)} cannot load the engine built here; "
                "`edgeseg build --force` builds it again"
            )
        actual = {}
        # self._engine gets no second name here, which a traceback would keep alive
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            actual[name] = (
                tuple(self._engine.get_tensor_shape(name)),
                self._engine.get_tensor_dtype(name),
                self._engine.get_tensor_mode(name),
                self._engine.get_tensor_location(name),
            )
        expected = {
            name: (
                shape,
                getattr(trt.DataType, DATA_TYPES[kind]),
                trt.TensorIOMode.INPUT if name == INPUT else trt.TensorIOMode.OUTPUT,
                trt.TensorLocation.DEVICE,
            )
            for name, (shape, kind) in signature.tensors().items()
        }
        if actual != expected:
            names = sorted({*actual, *expected})
            different = [name for name in names if actual.get(name) != expected.get(name)]
            raise EngineError(
                f"the engine's {', '.join(different)} are not what the bundle's manifest says; "
                "export the bundle again"
            )

    def _use_kernels(self, kernels: bytes) -> None:
        self._runtime_config = self._engine.create_runtime_config()
        self._kernels = self._runtime_config.create_runtime_cache()
        if kernels:
            self._kernels.deserialize(kernels)  # of another driver or GPU it is refused: no loss
        self._runtime_config.set_runtime_cache(self._kernels)

    def _connect(self, lane: _ExecutionLane) -> None:
        settings = () if self._runtime_config is None else (self._runtime_config,)
        lane.context = self._engine.create_execution_context(*settings)
        if lane.context is None:
            raise EngineError(
                "TensorRT has no memory left to run the engine; end other programs on the GPU, or "
                "use --backend cpu"
            )
        for name, memory in lane.memory.items():
            if not lane.context.set_tensor_address(name, memory.device):
                raise EngineError(
                    f"TensorRT does not take the memory for {name!r}; use --backend cuda or cpu"
                )
        missing = lane.context.infer_shapes()
        if missing:
            raise EngineError(
                f"the engine leaves {', '.join(missing)} open; export the bundle again"
            )

    def _capture(self, lane: _ExecutionLane, stack: ExitStack) -> None:
        """Make a CUDA graph of a frame.

        An engine that cannot be captured runs without, only a little slower.
        """
        try:
            self._cuda.begin_capture(lane.stream)
        except EngineError as error:
            self.notes.append(f"no CUDA graph: {error}")
            return
        try:
            lane.enqueue()
            lane.graph = self._cuda.end_capture(stack, lane.stream)
        except EngineError as error:
            self._cuda.abandon_capture(lane.stream)
            self.notes.append(f"no CUDA graph: {error}")

    def run(self, frame: NDArray[np.uint8]) -> Prediction:
        """Predict one frame, (1, H, W, 3) uint8 RGB; as many threads at once as there are lanes.

        Raises:
            EngineError: The GPU fails.
        """
        assert self._engine is not None, "the engine is closed"
        lane = self._idle.get()
        try:
            return lane.run(frame)
        finally:
            self._idle.put(lane)

    def kernels(self) -> bytes:
        """Return the kernels that this machine compiled so far; empty where nothing is kept."""
        if self._kernels is None:
            return b""
        serialized = self._kernels.serialize()
        return b"" if serialized is None else bytes(serialized)

    def inspect(self) -> str:
        """Return what the engine inspector says, as JSON; empty where it fails."""
        inspector = self._engine.create_engine_inspector()
        kind = self._trt.LayerInformationFormat.JSON
        return "" if inspector is None else str(inspector.get_engine_information(kind))

    def close(self) -> None:
        """Release everything; the engine is of no use afterwards."""
        self._stack.close()

    def _drop(self) -> None:
        for lane in self._lanes:
            lane.context = None
        self._runtime_config = self._kernels = None
        self._engine = None
        self._runtime = None


class TensorRTRunner:
    """An engine as a back end; see `edgeseg.runtime.backends.base.Runner`."""

    def __init__(
        self,
        bundle: Bundle,
        flavour: Flavour,
        engine: Engine,
        streams: int,
        backend: Backend = "tensorrt",
    ) -> None:
        self.bundle, self.flavour, self.streams, self.backend = bundle, flavour, streams, backend
        self._engine = engine

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()

    def __call__(self, frames: NDArray[np.uint8]) -> Prediction:
        """Predict frames, (N, H, W, 3) uint8 RGB at the graph's size, one after another.

        Raises:
            EngineError: The GPU fails.
        """
        parts = [self._engine.run(frames[index : index + 1]) for index in range(len(frames))]
        if len(parts) == 1:
            return parts[0]
        return Prediction(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in OUTPUTS)
        )
