"""The calls of CUDA's runtime library that running an engine needs, through ctypes.

One path serves CUDA 11 to 13. The library is handed in, so that a stand-in can take its place where
there is no GPU.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from ctypes import POINTER, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgeseg.errors import DependencyError, EngineError

LIBRARY_NAMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so")
LIBRARY_FOLDERS = (  # not always known to the linker
    "/usr/local/cuda/lib64",
    "/usr/local/cuda/targets/aarch64-linux/lib",
)
HANDLE = POINTER(c_void_p)
SIGNATURES: dict[str, tuple[Any, ...]] = {  # Any: ctypes' types have no common public one
    "cudaGetLastError": (),
    "cudaRuntimeGetVersion": (POINTER(c_int),),
    "cudaGetDeviceCount": (POINTER(c_int),),
    "cudaDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cudaGetDeviceProperties": (c_void_p, c_int),
    "cudaMalloc": (HANDLE, c_size_t),
    "cudaFree": (c_void_p,),
    "cudaHostAlloc": (HANDLE, c_size_t, c_uint),
    "cudaFreeHost": (c_void_p,),
    "cudaHostGetDevicePointer": (HANDLE, c_void_p, c_uint),
    "cudaMemcpyAsync": (c_void_p, c_void_p, c_size_t, c_int, c_void_p),
    "cudaStreamCreateWithFlags": (HANDLE, c_uint),
    "cudaStreamSynchronize": (c_void_p,),
    "cudaStreamDestroy": (c_void_p,),
    "cudaStreamBeginCapture": (c_void_p, c_int),
    "cudaStreamEndCapture": (c_void_p, HANDLE),
    "cudaGraphInstantiateWithFlags": (HANDLE, c_void_p, c_ulonglong),
    "cudaGraphLaunch": (c_void_p, c_void_p),
    "cudaGraphExecDestroy": (c_void_p,),
    "cudaGraphDestroy": (c_void_p,),
}
HOST_DEFAULT, HOST_MAPPED = 0, 2
TO_DEVICE, TO_HOST = 1, 2
NON_BLOCKING = 1  # a stream that does not wait for the default one
THREAD_LOCAL = 1  # while one thread captures, others may go on allocating
MULTIPROCESSORS, INTEGRATED, MAJOR, MINOR = 16, 18, 75, 76  # numbers of cudaDeviceAttr
# bytes of cudaDeviceProp: it grows with every CUDA, but begins with the name's 256 in all of them
PROPERTIES_SIZE = 16_384


@dataclass(frozen=True)
class CudaDevice:
    """The device that an engine is tied to.

    Attributes:
        name: What NVIDIA calls it.
        compute: The compute capability, such as "8.7".
        multiprocessors: The number of multiprocessors.
        runtime: The version of the CUDA runtime library, such as "12.6".
        integrated: CPU and GPU share their memory.
    """

    name: str
    compute: str
    multiprocessors: int
    runtime: str
    integrated: bool


@dataclass(frozen=True)
class TensorMemory:
    """The memory of one tensor, once for the CPU and once for the GPU.

    Attributes:
        host: The array that the CPU reads and writes.
        address: The address of `host`.
        device: The address that the GPU uses.
        shared: Both are the same bytes, so nothing need be copied.
    """

    host: NDArray[Any]  # Any: uint8 or float32
    address: int
    device: int
    shared: bool


class CudaRuntime:
    """The runtime library on the first device; CUDA_VISIBLE_DEVICES chooses which that is."""

    def __init__(self, library: Any) -> None:  # Any: what ctypes loaded, or a stand-in
        for name, types in SIGNATURES.items():
            getattr(library, name).argtypes = types
        library.cudaGetErrorString.argtypes, library.cudaGetErrorString.restype = (
            (c_int,),
            ctypes.c_char_p,
        )
        self._library = library
        self.device = self._examine()

    @classmethod
    def open(cls, purpose: str = "CUDA") -> CudaRuntime:
        """Return the first library that finds a device; one newer than the driver finds none.

        Args:
            purpose: What it is for, in errors.

        Raises:
            DependencyError: There is no such library.
        """
        reason = "no libcudart was found"
        for library in find_libraries():
            try:
                return cls(library)
            except (EngineError, AttributeError) as error:
                reason = str(error).partition(";")[0]  # without the advice behind it
        raise DependencyError(
            f"this machine cannot use {purpose}: CUDA shows no GPU ({reason}); install NVIDIA's "
            "driver (`edgeseg doctor` shows what is there), or use --backend cpu"
        )

    def _examine(self) -> CudaDevice:
        count, version = c_int(), c_int()
        self._call("cudaGetDeviceCount", count)
        if not count.value:
            raise EngineError("CUDA shows no device; check the driver, or use --backend cpu")
        self._call("cudaRuntimeGetVersion", version)
        properties = ctypes.create_string_buffer(PROPERTIES_SIZE)
        self._call("cudaGetDeviceProperties", properties, 0)
        values = []
        for attribute in (MAJOR, MINOR, MULTIPROCESSORS, INTEGRATED):
            value = c_int()
            self._call("cudaDeviceGetAttribute", value, attribute, 0)
            values.append(value.value)
        return CudaDevice(
            name=properties.raw[:256].split(b"\0")[0].decode(errors="replace"),
            compute=f"{values[0]}.{values[1]}",
            multiprocessors=values[2],
            runtime=f"{version.value // 1000}.{version.value % 1000 // 10}",
            integrated=bool(values[3]),
        )

    def _call(self, name: str, *arguments: Any) -> None:  # Any: what the function takes
        code = getattr(self._library, name)(*arguments)
        if code:
            reason = (self._library.cudaGetErrorString(code) or b"").decode(errors="replace")
            raise EngineError(
                f"{name} failed with CUDA error {code}, {reason}; start again, and if it stays so "
                "look into the kernel's log or use --backend cpu"
            )

    def _handle(self, name: str, *arguments: Any) -> int:  # Any: as `_call`
        handle = c_void_p()
        self._call(name, handle, *arguments)
        return int(handle.value or 0)

    def _release(self, name: str, handle: int | None) -> None:
        # a failure is passed over: nothing can be done about it, and the rest must be released too
        getattr(self._library, name)(handle)

    def create_stream(self, stack: ExitStack) -> int:
        """Return a stream that lives as long as `stack`."""
        stream = self._handle("cudaStreamCreateWithFlags", NON_BLOCKING)
        stack.callback(self._release, "cudaStreamDestroy", stream)
        return stream

    def allocate(
        self, stack: ExitStack, shape: tuple[int, ...], kind: DTypeLike, *, shared: bool
    ) -> TensorMemory:
        """Return memory for one tensor that lives as long as `stack`.

        Args:
            kind: The element type.
            shared: The GPU reads and writes the CPU's memory; else it has its own, and bytes must
                be copied.
        """
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        address = self._handle("cudaHostAlloc", size, HOST_MAPPED if shared else HOST_DEFAULT)
        stack.callback(self._release, "cudaFreeHost", address)
        if shared:
            device = self._handle("cudaHostGetDevicePointer", address, 0)
        else:
            device = self._handle("cudaMalloc", size)
            stack.callback(self._release, "cudaFree", device)
        raw = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        return TensorMemory(raw.view(kind).reshape(shape), address, device, shared)

    def upload(self, memory: TensorMemory, stream: int) -> None:
        """Begin to copy the CPU's bytes to the GPU."""
        self._call(
            "cudaMemcpyAsync", memory.device, memory.address, memory.host.nbytes, TO_DEVICE, stream
        )

    def download(self, memory: TensorMemory, stream: int) -> None:
        """Begin to copy the GPU's bytes to the CPU."""
        self._call(
            "cudaMemcpyAsync", memory.address, memory.device, memory.host.nbytes, TO_HOST, stream
        )

    def synchronize(self, stream: int) -> None:
        """Wait until all work in `stream` is done."""
        self._call("cudaStreamSynchronize", stream)

    def begin_capture(self, stream: int) -> None:
        """Record what is put into `stream` from now on instead of doing it."""
        self._call("cudaStreamBeginCapture", stream, THREAD_LOCAL)

    def end_capture(self, stack: ExitStack, stream: int) -> int:
        """Return the recorded graph, ready to be launched; it lives as long as `stack`."""
        graph = c_void_p()
        self._call("cudaStreamEndCapture", stream, graph)
        try:
            ready = self._handle("cudaGraphInstantiateWithFlags", graph, 0)
        finally:
            self._release("cudaGraphDestroy", graph.value)
        stack.callback(self._release, "cudaGraphExecDestroy", ready)
        return ready

    def abandon_capture(self, stream: int) -> None:
        """Make a stream usable again after a capture failed, and clear the error."""
        graph = c_void_p()
        self._library.cudaStreamEndCapture(stream, graph)
        if graph.value:
            self._release("cudaGraphDestroy", graph.value)
        self._library.cudaGetLastError()

    def launch_graph(self, graph: int, stream: int) -> None:
        """Begin to run a captured graph."""
        self._call("cudaGraphLaunch", graph, stream)


def has_gpu() -> bool:
    """Return whether the system shows an NVIDIA device."""
    return any(
        Path(name).exists()
        for name in ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu/igpu0", "/dev/dxg")
    )


def find_libraries() -> Iterator[Any]:  # Any: ctypes libraries
    """Yield the runtime libraries of this machine.

    First the linker's, then those in CUDA's own folders, then those of NVIDIA's wheels.
    """
    wheels = [
        str(path) for place in sys.path for path in Path(place).glob("nvidia/*/lib/libcudart.so.*")
    ]
    for name in (*LIBRARY_NAMES, *(f"{place}/libcudart.so" for place in LIBRARY_FOLDERS), *wheels):
        try:
            yield ctypes.CDLL(name)
        except OSError:
            continue
