"""A device in a box: a bundle with files for TensorRT, and stand-ins for TensorRT, libcudart and
the child process.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgeseg.bundle import Bundle, write_bundle
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.config import EngineConfig
from edgeseg.errors import EdgesegError, EngineError
from edgeseg.runtime.backends import cuda_runtime
from edgeseg.runtime.backends.cuda_runtime import CudaRuntime
from edgeseg.runtime.backends.engine_cache import EngineEntry
from edgeseg.runtime.backends.openvino import library as openvino_library
from edgeseg.runtime.backends.tensorrt import libraries, native_runner
from edgeseg.runtime.backends.tensorrt.building import build_process, build_worker
from edgeseg.runtime.backends.tensorrt.engine_provider import (
    TensorRTEnvironment,
    get_or_build_engine,
)
from edgeseg.runtime.backends.tensorrt.libraries import LIBRARIES, NativeBackend
from tests.fakes.cudart_fake import FakeCuda
from tests.fakes.tensorrt_fake import RTX_VERSIONS, VERSIONS, FakeTensorRT
from tests.helpers.bundles import make_bundle, marked, network

FAKES = (
    Path(__file__).parents[1] / "fakes" / "site"
)  # on PYTHONPATH it brings `tensorrt` to child processes
OLD, JETSON, NEW = VERSIONS[0], VERSIONS[2], VERSIONS[-1]
RTX = RTX_VERSIONS[-1]


def int8_trt() -> bytes:
    """The tiny network with its last convolution in INT8, as TensorRT wants it."""
    model = network()
    place = next(index for index, node in enumerate(model.graph.node) if node.output[0] == "logits")
    model.graph.node[place].input[0] = "pooled.dq"
    for name, operator, source in (
        ("q", "QuantizeLinear", "pooled"),
        ("dq", "DequantizeLinear", "pooled.q"),
    ):
        node = helper.make_node(
            operator, [source, "pooled.scale", "pooled.zero"], [f"pooled.{name}"], f"pooled.{name}"
        )
        model.graph.node.insert(place, node)
        place += 1
    scale = numpy_helper.from_array(np.asarray(np.float32(1 / 127)), "pooled.scale")
    model.graph.initializer.extend(
        [scale, numpy_helper.from_array(np.asarray(np.int8(0)), "pooled.zero")]
    )
    onnx.checker.check_model(model, full_check=True)
    return marked(model, "int8-trt")


def engine_bundle(path: Path, **changes: Any) -> Bundle:  # Any: as `tests.helpers.bundles.manifest`
    """The tiny bundle with FP32, FP16 (the same numbers, so marked) and INT8 files for TensorRT."""
    made = make_bundle(path, int8=False, **changes)
    files = {name: made.read(name) for name in made.manifest.files}
    files |= {"model.int8-trt.onnx": int8_trt(), "model.fp16.onnx": marked(network(), "fp16")}
    return write_bundle(path, made.manifest, files)


class Box:
    """The stand-ins that are in place, and what happened to them.

    Attributes:
        builds: how many builds were begun.
    """

    def __init__(self, version: str, faults: set[str], cuda: FakeCuda) -> None:
        self.cuda = cuda
        self.trt = FakeTensorRT(version, cuda, faults)
        self.builds = 0
        self.said: list[str] = []

    @property
    def environment(self) -> TensorRTEnvironment:
        return TensorRTEnvironment(self.trt, CudaRuntime(self.cuda), LIBRARIES[self.backend])

    @property
    def backend(self) -> NativeBackend:
        return "tensorrt-rtx" if self.trt.is_rtx else "tensorrt"

    def run_child(
        self, folder: Path, name: str, timeout: float, stopped: object
    ) -> dict[str, Any]:  # Any: json
        """What the child process does, in this one: quicker, and `builds` counts."""
        self.builds += 1
        try:
            result = build_worker.build_and_measure(folder, self.trt, CudaRuntime(self.cuda))
        except EdgesegError as error:
            raise EngineError(str(error)) from None
        return dict(json.loads(json.dumps(result)))

    def start(self, title: str, total: int | None) -> None: ...

    def advance(self, amount: int = 1, note: str = "") -> None: ...

    def stop(self) -> None: ...

    def say(self, message: str) -> None:
        self.said.append(message)


def install(
    monkeypatch: pytest.MonkeyPatch,
    cache: Path,
    version: str = JETSON,
    faults: set[str] | None = None,
    **device: Any,
) -> Box:  # Any: as FakeCuda
    """Make this process believe that it runs on a device with `version`."""
    box = Box(version, faults or set(), FakeCuda(**device))
    monkeypatch.setattr(cuda_runtime, "find_libraries", lambda: iter([box.cuda]))
    monkeypatch.setattr(libraries, "import_library", lambda library: box.trt)
    monkeypatch.setattr(build_process, "_run_child", box.run_child)
    monkeypatch.setattr(native_runner, "has_gpu", lambda: True)
    monkeypatch.setattr(libraries, "installed_backends", lambda: (box.backend,))
    monkeypatch.setattr(openvino_library, "is_installed", lambda: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return box


def get_engine(
    box: Box, bundle: Bundle, flavour: Any = "int8-trt", **options: Any
) -> tuple[EngineEntry, bytes]:  # Any: as `get_or_build_engine`
    """Return the engine of a file, built if need be, with what is known of it."""
    config = options.pop("config", EngineConfig())
    return get_or_build_engine(
        bundle,
        flavour,
        read_verified_graph(bundle, flavour),
        config,
        box.environment,
        report=box,
        **options,
    )
