"""A stand-in for libcudart, which needs a GPU and cannot run here: it counts, and is strict about
memory and streams.

Real ctypes function pointers are handed out, so our argument types are really used. "Device"
addresses are host memory at an offset, so that a host pointer given to the GPU, or a forgotten
copy, is noticed. Work put into a stream is done when the stream is waited for, not before, and a
capture notes it down instead, as on a GPU. What it cannot show is whether a real GPU does what the
documentation says.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections import Counter
from collections.abc import Callable
from ctypes import c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from typing import Any

APART = 1 << 60  # between an address of the CPU and the same memory as the GPU sees it
OK, INVALID, NO_MEMORY, NO_DEVICE, CAPTURING = 0, 1, 2, 100, 900
PROTOTYPES: dict[
    str, tuple[Any, ...]
] = {  # written down again on purpose, as void* wherever CUDA has a pointer
    "cudaGetLastError": (),
    "cudaRuntimeGetVersion": (c_void_p,),
    "cudaGetDeviceCount": (c_void_p,),
    "cudaDeviceGetAttribute": (c_void_p, c_int, c_int),
    "cudaGetDeviceProperties": (c_void_p, c_int),
    "cudaMalloc": (c_void_p, c_size_t),
    "cudaFree": (c_void_p,),
    "cudaHostAlloc": (c_void_p, c_size_t, c_uint),
    "cudaFreeHost": (c_void_p,),
    "cudaHostGetDevicePointer": (c_void_p, c_void_p, c_uint),
    "cudaMemcpyAsync": (c_void_p, c_void_p, c_size_t, c_int, c_void_p),
    "cudaStreamCreateWithFlags": (c_void_p, c_uint),
    "cudaStreamSynchronize": (c_void_p,),
    "cudaStreamDestroy": (c_void_p,),
    "cudaStreamBeginCapture": (c_void_p, c_int),
    "cudaStreamEndCapture": (c_void_p, c_void_p),
    "cudaGraphInstantiateWithFlags": (c_void_p, c_void_p, c_ulonglong),
    "cudaGraphLaunch": (c_void_p, c_void_p),
    "cudaGraphExecDestroy": (c_void_p,),
    "cudaGraphDestroy": (c_void_p,),
}
Work = Callable[[], object]


class FakeCuda:
    """One fake library.

    Attributes:
        log: what was called, with the stand-in for TensorRT in the order of both.
        calls: how often each function was called.
        live: handles that were not released, by kind.
        faults: what was done wrongly, such as freeing twice.
        compute: the compute capability.
    """

    def __init__(
        self,
        *,
        integrated: bool = False,
        devices: int = 1,
        fail: dict[str, int] | None = None,
        log: list[str] | None = None,
        name: str = "Fake Orin",
        compute: tuple[int, int] = (8, 7),
        multiprocessors: int = 8,
        version: int = 12060,
    ) -> None:
        """Args:
        fail: the call of a function, counted from 1, that gives an error.
        """
        self.log = [] if log is None else log
        self.calls: Counter[str] = Counter()
        self.faults: list[str] = []
        self.live: dict[str, dict[int, Any]] = {
            kind: {} for kind in ("host", "device", "stream", "graph", "exec")
        }
        self._fail = fail or {}
        self._numbers = itertools.count(0x1000, 0x10)
        self._captures: dict[int, list[Work]] = {}
        self.compute = compute
        self._devices, self._version = devices, version
        self._properties = name.encode().ljust(256, b"\0")
        self._attributes = {
            16: multiprocessors,
            18: int(integrated),
            75: compute[0],
            76: compute[1],
        }
        self._text = ctypes.create_string_buffer(b"a made-up error")
        for function, types in PROTOTYPES.items():
            setattr(self, function, ctypes.CFUNCTYPE(c_int, *types)(self._wrapped(function)))
        self.cudaGetErrorString = ctypes.CFUNCTYPE(c_void_p, c_int)(
            lambda code: ctypes.addressof(self._text)
        )

    @property
    def balanced(self) -> bool:
        """Everything was released, and nothing done wrongly."""
        return not any(self.live.values()) and not self.faults and not self._captures

    def resolve(self, address: int) -> int:
        """The memory behind a device address.

        Raises:
            RuntimeError: it is none, or was freed.
        """
        host = address - APART
        if host not in self.live["host"] and host not in self.live["device"]:
            self.faults.append(f"the GPU was given {address:#x}, which is no device memory")
            raise RuntimeError(self.faults[-1])
        return host

    def put(self, stream: int, work: Work) -> None:
        """What a kernel launch does: note `work` down for later."""
        if stream in self._captures:
            self._captures[stream].append(work)
        else:
            self.live["stream"][stream].append(work)

    def _wrapped(self, name: str) -> Callable[..., int]:
        def call(*arguments: int | None) -> int:
            self.calls[name] += 1
            self.log.append(name)
            if self._fail.get(name) == self.calls[name]:
                return NO_MEMORY
            try:
                return int(
                    getattr(self, f"_{name}")(*(argument or 0 for argument in arguments)) or OK
                )
            except Exception as error:  # noqa: BLE001  # ctypes would swallow it
                self.faults.append(f"{name}: {error!r}")
                return INVALID

        return call

    def _give(self, place: int, value: int) -> None:
        c_void_p.from_address(place).value = value

    def _take(self, kind: str, handle: int) -> Any:  # Any: what was kept with it
        if handle not in self.live[kind]:
            self.faults.append(f"{kind} {handle:#x} was released twice, or never made")
            return None
        return self.live[kind].pop(handle)

    def _new(self, kind: str, place: int, size: int) -> None:
        buffer = ctypes.create_string_buffer(b"\xa5" * size, size)
        self.live[kind][ctypes.addressof(buffer)] = buffer
        self._give(place, ctypes.addressof(buffer) + (APART if kind == "device" else 0))

    def _cudaGetLastError(self) -> None:
        pass

    def _cudaRuntimeGetVersion(self, place: int) -> None:
        c_int.from_address(place).value = self._version

    def _cudaGetDeviceCount(self, place: int) -> int:
        c_int.from_address(place).value = self._devices
        return OK if self._devices else NO_DEVICE

    def _cudaDeviceGetAttribute(self, place: int, attribute: int, device: int) -> None:
        c_int.from_address(place).value = self._attributes[attribute]

    def _cudaGetDeviceProperties(self, place: int, device: int) -> None:
        ctypes.memmove(place, self._properties, len(self._properties))

    def _cudaMalloc(self, place: int, size: int) -> None:
        self._new("device", place, size)

    def _cudaFree(self, address: int) -> None:
        self._take("device", address - APART)

    def _cudaHostAlloc(self, place: int, size: int, flags: int) -> None:
        assert flags in (0, 2), flags
        self._new("host", place, size)

    def _cudaFreeHost(self, address: int) -> None:
        self._take("host", address)

    def _cudaHostGetDevicePointer(self, place: int, address: int, flags: int) -> None:
        assert self._attributes[18] and address in self.live["host"] and flags == 0
        self._give(place, address + APART)

    def _cudaMemcpyAsync(self, to: int, source: int, size: int, kind: int, stream: int) -> None:
        assert kind in (1, 2) and stream in self.live["stream"]
        device, host = (to, source) if kind == 1 else (source, to)
        assert host in self.live["host"], "not pinned"
        inside = self.resolve(device)
        assert size <= len(self.live["device"][inside])
        ends = (inside, host) if kind == 1 else (host, inside)
        self.put(stream, functools.partial(ctypes.memmove, *ends, size))

    def _cudaStreamCreateWithFlags(self, place: int, flags: int) -> None:
        assert flags in (0, 1), flags
        handle = next(self._numbers)
        self.live["stream"][handle] = []
        self._give(place, handle)

    def _cudaStreamSynchronize(self, stream: int) -> int:
        if stream in self._captures:
            return CAPTURING
        work = self.live["stream"][stream]
        while work:
            work.pop(0)()
        return OK

    def _cudaStreamDestroy(self, stream: int) -> None:
        self._take("stream", stream)

    def _cudaStreamBeginCapture(self, stream: int, mode: int) -> None:
        assert stream in self.live["stream"] and mode in (0, 1, 2)
        self._captures[stream] = []

    def _cudaStreamEndCapture(self, stream: int, place: int) -> int:
        if stream not in self._captures:
            return CAPTURING
        handle = next(self._numbers)
        self.live["graph"][handle] = self._captures.pop(stream)
        self._give(place, handle)
        return OK

    def _cudaGraphInstantiateWithFlags(self, place: int, graph: int, flags: int) -> None:
        handle = next(self._numbers)
        self.live["exec"][handle] = list(self.live["graph"][graph])
        self._give(place, handle)

    def _cudaGraphLaunch(self, ready: int, stream: int) -> None:
        for work in self.live["exec"][ready]:
            self.put(stream, work)

    def _cudaGraphExecDestroy(self, ready: int) -> None:
        self._take("exec", ready)

    def _cudaGraphDestroy(self, graph: int) -> None:
        self._take("graph", graph)
