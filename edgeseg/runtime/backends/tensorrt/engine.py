"""Runs a TensorRT engine without torch: memory, streams and CUDA graphs through
`edgeseg.runtime.backends.cuda_runtime`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import Backend, Flavour
from edgeseg.bundle.graph_signature import INPUT, OUTPUTS, GraphSignature
from edgeseg.errors import EngineError
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.backends.cuda_runtime import CudaRuntime, TensorMemory

Module: TypeAlias = Any  # the bindings bring no types
DATA_TYPES = {"uint8": "UINT8", "float32": "FLOAT"}


class EngineNotLoadable(EngineError):
    """A plan that TensorRT does not take, although it was built here; building it again helps."""


class _ExecutionLane:
    """What one frame at a time needs: a context, a stream and memory. No two threads may use one at
    once.
    """

    def __init__(
        self, cuda: CudaRuntime, stack: ExitStack, face: GraphSignature, *, shared: bool
    ) -> None:
        self._cuda = cuda
        self.stream = cuda.create_stream(stack)
        self.memory = {
            name: cuda.allocate(stack, shape, kind, shared=shared)
            for name, (shape, kind) in face.tensors().items()
        }
        self.context: Any = None  # Any: an IExecutionContext
        self.graph: int | None = None

    def enqueue(self) -> None:
        """Begin to compute one frame: in, through, out."""
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
        assert frame.shape == self.memory[INPUT].host.shape, (
            "frames come at the graph's size, one by one"
        )
        self.memory[INPUT].host[...] = frame
        if self.graph is None:
            self.enqueue()
        else:
            self._cuda.launch_graph(self.graph, self.stream)
        self._cuda.synchronize(self.stream)
        return Prediction(
            *(self.memory[name].host.copy() for name in OUTPUTS)
        )  # the next frame overwrites them


class Engine:
    """An engine ready to run, with as many lanes as frames may be under way at once.

    Release matters: contexts before the engine, the engine before its runtime, all of them before
    their memory.

    Attributes:
        notes: what works less well than it could.
    """

    def __init__(
        self,
        trt: Module,
        cuda: CudaRuntime,
        plan: bytes,
        face: GraphSignature,
        logger: Any,  # Any: an ILogger of `trt`
        *,
        lanes: int = 1,
        graphs: bool = True,
        mapped: bool = True,
        dla: int | None = None,
    ) -> None:
        """Load `plan`.

        Args:
            plan: of this TensorRT on this device, built by ourselves.
            graphs: replay frames as CUDA graphs.
            mapped: no copies where CPU and GPU share their memory.
            dla: core that the plan was built for.

        Raises:
            EngineError: it cannot be loaded, takes or gives something else than `face`, or CUDA
                fails.
        """
        self.notes: list[str] = []
        self._trt, self._cuda, self._logger = trt, cuda, logger
        self._runtime: Any = None  # Any: a Runtime of `trt`
        self._engine: Any = None  # Any: an ICudaEngine
        self._lanes: list[_ExecutionLane] = []
        self._idle: SimpleQueue[_ExecutionLane] = SimpleQueue()
        with ExitStack() as stack:
            shared = mapped and cuda.device.integrated
            self._lanes = [_ExecutionLane(cuda, stack, face, shared=shared) for _ in range(lanes)]
            stack.callback(self._drop)
            self._load(plan, face, dla)
            for lane in self._lanes:
                self._connect(lane)
                lane.run(
                    np.zeros(lane.memory[INPUT].host.shape, np.uint8)
                )  # lays out what a capture may not
                if graphs:
                    self._capture(lane, stack)
                self._idle.put(lane)
            self._stack = stack.pop_all()

    def _load(self, plan: bytes, face: GraphSignature, dla: int | None) -> None:
        trt = self._trt
        self._runtime = trt.Runtime(self._logger)
        if dla is not None:
            self._runtime.DLA_core = dla
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineNotLoadable(
                f"TensorRT {trt.__version__} cannot load the engine built here; `edgeseg build --force` builds it again"
            )
        found = {}
        for index in range(
            self._engine.num_io_tensors
        ):  # no second name for it, which a traceback would keep alive
            name = self._engine.get_tensor_name(index)
            found[name] = (
                tuple(self._engine.get_tensor_shape(name)),
                self._engine.get_tensor_dtype(name),
                self._engine.get_tensor_mode(name),
                self._engine.get_tensor_location(name),
            )
        wanted = {
            name: (
                shape,
                getattr(trt.DataType, DATA_TYPES[kind]),
                trt.TensorIOMode.INPUT if name == INPUT else trt.TensorIOMode.OUTPUT,
                trt.TensorLocation.DEVICE,
            )
            for name, (shape, kind) in face.tensors().items()
        }
        if found != wanted:
            odd = ", ".join(
                sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
            )
            raise EngineError(
                f"the engine's {odd} are not what the bundle's manifest says; export the bundle again"
            )

    def _connect(self, lane: _ExecutionLane) -> None:
        lane.context = self._engine.create_execution_context()
        if lane.context is None:
            raise EngineError(
                "TensorRT has no memory left to run the engine; end other programs on the GPU, or use --backend cpu"
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
        """Make a CUDA graph of a frame; an engine that cannot be captured runs without, only a
        little slower.
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
        """Predict one frame, (1, H, W, 3) uint8 RGB; threads may call it, as many at once as there
        are lanes.

        Raises:
            EngineError: the GPU fails.
        """
        assert self._engine is not None, "the engine is closed"
        lane = self._idle.get()
        try:
            return lane.run(frame)
        finally:
            self._idle.put(lane)

    def inspect(self) -> str:
        """What the engine inspector says, as JSON; nothing where it fails."""
        inspector = self._engine.create_engine_inspector()
        kind = self._trt.LayerInformationFormat.JSON
        return "" if inspector is None else str(inspector.get_engine_information(kind))

    def close(self) -> None:
        """Release everything; the engine is of no use afterwards."""
        self._stack.close()

    def _drop(self) -> None:
        for lane in self._lanes:
            lane.context = None
        self._engine = None
        self._runtime = None


class TensorRTRunner:
    """An engine as a back end; see `edgeseg.runtime.backends.open_runner.Runner`."""

    backend: Backend = "tensorrt"

    def __init__(self, bundle: Bundle, flavour: Flavour, engine: Engine, streams: int) -> None:
        self.bundle, self.flavour, self.streams = bundle, flavour, streams
        self._engine = engine

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()

    def __call__(self, frames: NDArray[np.uint8]) -> Prediction:
        """Predict frames, (N, H, W, 3) uint8 RGB at the graph's size, one after another.

        Raises:
            EngineError: the GPU fails.
        """
        parts = [self._engine.run(frames[index : index + 1]) for index in range(len(frames))]
        if len(parts) == 1:
            return parts[0]
        return Prediction(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in OUTPUTS)
        )
