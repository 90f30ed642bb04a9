"""CUDA's calls through ctypes: right types, everything released, every failing call a sentence."""

from __future__ import annotations

import ctypes
from contextlib import ExitStack

import numpy as np
import pytest

from edgeseg.errors import DependencyError, EngineError
from edgeseg.runtime.backends import cuda_runtime
from edgeseg.runtime.backends.cuda_runtime import SIGNATURES, CudaRuntime
from tests.fakes.cudart_fake import PROTOTYPES, FakeCuda


def test_declared_types_have_the_sizes_of_cudas_own() -> None:
    assert SIGNATURES.keys() == PROTOTYPES.keys()
    for name, types in SIGNATURES.items():
        assert [ctypes.sizeof(one) for one in types] == [
            ctypes.sizeof(one) for one in PROTOTYPES[name]
        ], name


def test_the_device_is_described() -> None:
    device = CudaRuntime(
        FakeCuda(integrated=True, name="Orin", compute=(8, 7), multiprocessors=16, version=13020)
    ).device
    assert (device.name, device.compute, device.multiprocessors, device.runtime) == (
        "Orin",
        "8.7",
        16,
        "13.2",
    )
    assert device.integrated


@pytest.mark.parametrize("shared", [False, True])
def test_memory_is_pinned_apart_or_shared_and_released(shared: bool) -> None:
    fake = FakeCuda(integrated=shared)
    cuda = CudaRuntime(fake)
    with ExitStack() as stack:
        memory = cuda.allocate(stack, (2, 3), np.float32, shared=shared)
        assert (
            memory.host.shape == (2, 3)
            and memory.host.dtype == np.float32
            and memory.device != memory.address
        )
        assert (fake.calls["cudaMalloc"], fake.calls["cudaHostGetDevicePointer"]) == (
            (0, 1) if shared else (1, 0)
        )
        assert not fake.balanced
    assert fake.balanced


def test_bytes_travel_when_the_stream_is_waited_for() -> None:
    fake = FakeCuda()
    cuda = CudaRuntime(fake)
    with ExitStack() as stack:
        stream, memory = (
            cuda.create_stream(stack),
            cuda.allocate(stack, (4,), np.uint8, shared=False),
        )
        memory.host[...] = 7
        cuda.upload(memory, stream)
        cuda.synchronize(stream)
        memory.host[...] = 0
        cuda.download(memory, stream)
        assert not memory.host.any()
        cuda.synchronize(stream)
        assert (memory.host == 7).all()
    assert fake.balanced


@pytest.mark.parametrize("name", ["cudaHostAlloc", "cudaMalloc", "cudaStreamCreateWithFlags"])
def test_a_failing_call_is_one_sentence_and_releases_what_was_there(name: str) -> None:
    fake = FakeCuda(fail={name: 2})
    cuda = CudaRuntime(fake)
    with (
        pytest.raises(
            EngineError, match=rf"{name} failed with CUDA error 2, a made-up error; .*--backend"
        ),
        ExitStack() as stack,
    ):
        for _ in range(2):
            cuda.create_stream(stack)
            cuda.allocate(stack, (4,), np.uint8, shared=False)
    assert fake.balanced


def test_a_library_newer_than_the_driver_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    right = FakeCuda(name="here")
    monkeypatch.setattr(
        cuda_runtime,
        "find_libraries",
        lambda: iter([FakeCuda(fail={"cudaGetDeviceCount": 1}), right]),
    )
    assert CudaRuntime.open().device.name == "here"


@pytest.mark.parametrize("libraries", [[], [FakeCuda(devices=0)], [object()]])
def test_no_gpu_is_a_sentence(libraries: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_runtime, "find_libraries", lambda: iter(libraries))
    with pytest.raises(
        DependencyError, match=r"cannot use tensorrt-rtx: CUDA shows no GPU .*edgeseg doctor"
    ):
        CudaRuntime.open("tensorrt-rtx")


def test_real_libraries_of_this_machine_have_every_function_and_take_our_types() -> None:
    """PyTorch's wheels often bring a real libcudart; without a GPU its calls give errors, but they
    do not crash.
    """
    for library in cuda_runtime.find_libraries():
        try:
            cuda = CudaRuntime(library)
        except EngineError as error:
            assert "cudaGetDeviceCount failed with CUDA error" in str(error)
            cuda = object.__new__(CudaRuntime)
            cuda._library = library
        version = ctypes.c_int()
        cuda._call("cudaRuntimeGetVersion", version)
        assert version.value >= 11000
