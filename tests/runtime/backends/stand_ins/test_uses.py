"""All that our code uses of TensorRT, as the stand-ins saw it, is in NVIDIA's own modules: with
that name, and with arguments of that number, name and type.

The lean runtimes (`pytest -m lean`) are the only real part of TensorRT itself that loads without a
driver. They hold what runs an engine, not what builds one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg.bundle.graph_signature import GraphSignature
from edgeseg.config import EngineConfig
from edgeseg.runtime.backends.cuda_runtime import CudaRuntime
from edgeseg.runtime.backends.tensorrt.building.build_recipe import BuildRecipe
from edgeseg.runtime.backends.tensorrt.building.engine_builder import build_engine
from edgeseg.runtime.backends.tensorrt.building.messages import TensorRTMessages
from edgeseg.runtime.backends.tensorrt.engine import Engine
from tests.fakes.cudart_fake import FakeCuda
from tests.fakes.derive import Facts, versions_of
from tests.fakes.objects.uses import Use, missing
from tests.fakes.real_modules import LEAN, RTX, needed, run_tool
from tests.fakes.recorded_api import RecordedApi, lines_of
from tests.fakes.tensorrt_fake import RTX_VERSIONS, VERSIONS, FakeTensorRT
from tests.helpers.bundles import HEIGHT, WIDTH, manifest
from tests.helpers.engines import int8_trt


def used(version: str) -> tuple[set[Use], set[Use]]:
    """What building and inspecting an engine uses, and what loading, running and closing does."""
    building, running = set[Use](), set[Use]()
    for dla in (None, 0) if version in VERSIONS else (None,):
        trt = FakeTensorRT(version, FakeCuda(compute=(8, 6)), set() if dla is None else {"dla"})
        signature, cuda = GraphSignature.of(manifest()), CudaRuntime(trt.cuda)
        messages = TensorRTMessages(lambda text: None)
        logger = messages.logger(trt)
        recipe = BuildRecipe.of(trt, "int8-trt", EngineConfig(dla=dla))
        plan = build_engine(trt, int8_trt(), recipe, signature, messages, logger).plan
        building |= trt.uses
        kernels = b""
        for _ in range(2):  # the second time with the kernels of the first
            trt.uses.clear()
            engine = Engine(trt, cuda, plan, signature, logger, dla=dla, kernels=kernels)
            engine.run(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8))
            kernels = engine.kernels()
            running |= trt.uses
            engine.inspect()
            building |= trt.uses - running
            engine.close()
    return building, running


def places(uses: set[Use]) -> set[str]:
    return {use.place for use in uses}


def test_the_stand_in_sees_what_is_used() -> None:
    building, running = used(VERSIONS[-1])
    assert {
        "Builder.__init__",
        "DeviceType.DLA",
        "EngineInspector.get_engine_information",
        "MemoryPoolType.WORKSPACE",
        "OnnxParser.parse",
    } <= places(building)
    assert {
        "DataType.UINT8",
        "IExecutionContext.execute_async_v3",
        "ICudaEngine.num_io_tensors",
        "Runtime.deserialize_cuda_engine",
        "Runtime.DLA_core",
        "TensorIOMode.INPUT",
    } <= places(running)
    assert not {place for place in places(running) if place.startswith(("Builder", "OnnxParser"))}
    kernels = places(used(RTX_VERSIONS[-1])[1]) - places(running)
    assert {"IRuntimeCache.serialize", "IRuntimeCache.deserialize"} <= kernels


def test_all_that_builds_and_runs_is_in_the_real_tensorrt_for_rtx(tmp_path: Path) -> None:
    needed(RTX)
    building, running = used(RTX_VERSIONS[-1])
    ((_, facts),) = versions_of(run_tool("record", tmp_path, RTX))
    assert missing(building | running, facts) == []


@pytest.mark.lean
def test_all_that_runs_an_engine_is_in_the_real_lean_runtime(tmp_path: Path) -> None:
    needed(LEAN)
    ((version, facts),) = versions_of(run_tool("record", tmp_path, LEAN))
    _, running = used(VERSIONS[-1])
    assert missing(running, facts) == []
    if version in VERSIONS:  # then the record can be held against it as well
        found = {line for line in lines_of(facts) if not line.startswith("module:")}
        typed = {line for line in found if ": a property" in line}  # the record has no types
        assert found - typed - set(RecordedApi(version).lines()) == set() and len(found) > 150


FACTS: Facts = {
    "names": {"Runtime": True},
    "enums": {"DataType": {"FLOAT": 0}},
    "classes": {
        "Runtime": {
            "load": [["plan:Buffer"], ["path:str", "strict?:bool"]],
            "level": {"property": True, "set": "int"},
            "size": {"property": True, "set": None},
        }
    },
}


@pytest.mark.parametrize(
    ("use", "there"),
    [
        (Use("DataType.FLOAT", "get"), True),
        (Use("DataType.UINT8", "get"), False),
        (Use("Runtime.size", "get"), True),
        (Use("Runtime.sizes", "get"), False),
        (Use("Runtime.level", "set", ("int",)), True),
        (Use("Runtime.level", "set", ("str",)), False),
        (Use("Runtime.size", "set", ("int",)), False),
        (Use("Runtime.load", "call", ("Buffer",)), True),
        (Use("Runtime.load", "call", ("str",), (("strict", "bool"),)), True),
        (Use("Runtime.load", "call", (), (("path", "str"),)), True),
        (Use("Runtime.load", "call", ("int",)), False),
        (Use("Runtime.load", "call", ("Buffer", "bool")), False),
        (Use("Runtime.load", "call", ("str",), (("exact", "bool"),)), False),
        (Use("Runtime.load", "call"), False),
        (Use("Runtime.level", "call"), False),
    ],
)
def test_what_a_module_refuses_is_told(use: Use, there: bool) -> None:
    assert missing({use}, FACTS) == ([] if there else [str(use)])
