"""The same calls put to the real TensorRT for RTX and to its stand-in: both accept and refuse the
same, with the same kind of exception, the same values, and an error in the log where the other has
one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.runtime.backends.cuda_runtime import has_gpu
from tests.fakes.call_table import CALLS, WITHOUT_DRIVER
from tests.fakes.call_verdicts import ask
from tests.fakes.cudart_fake import FakeCuda
from tests.fakes.real_modules import RTX, needed, run_tool
from tests.fakes.tensorrt_fake import RTX_VERSIONS, FakeTensorRT
from tests.helpers.bundles import network

TABLE = CALLS if has_gpu() else CALLS + WITHOUT_DRIVER


def test_the_stand_in_answers_each_call_as_the_real_module_does(tmp_path: Path) -> None:
    needed(RTX)
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(network().SerializeToString())
    answer = run_tool("call_verdicts", tmp_path, RTX, graph)
    version, real = answer["version"], answer["verdicts"]
    if version not in RTX_VERSIONS:
        pytest.skip(f"{RTX} {version} is not recorded, see test_recorded_api.py")
    trt = FakeTensorRT(version, FakeCuda(), set() if has_gpu() else {"no-driver"})
    stand_in = ask(trt, graph.read_bytes(), TABLE)
    assert {call: real[call] for call in TABLE} == stand_in
    kinds = [verdict.removesuffix(", said") for verdict in real.values()]
    assert kinds.count("TypeError") > 50 and kinds.count("AttributeError") > 5
    assert sum(not kind.endswith("Error") for kind in kinds) > 100
