"""The same calls put to NVIDIA's own modules and to their stand-ins: both accept and refuse the
same, with the same kind of exception, the same values, and an error in the log where the other has
one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.runtime.backends.cuda_runtime import has_gpu
from tests.fakes.call_table import CALLS, LEAN_CALLS, WITHOUT_DRIVER
from tests.fakes.call_verdicts import ask
from tests.fakes.cudart_fake import FakeCuda
from tests.fakes.real_modules import LEAN, RTX, needed, run_tool
from tests.fakes.tensorrt_fake import RTX_VERSIONS, VERSIONS, FakeTensorRT
from tests.helpers.bundles import network

TABLE = CALLS if has_gpu() else CALLS + WITHOUT_DRIVER


class FakeLean(FakeTensorRT):
    """A stand-in without what the lean runtime lacks."""

    def __init__(self, version: str) -> None:
        super().__init__(version, FakeCuda(), set() if has_gpu() else {"no-driver"})
        del self.Builder, self.OnnxParser
        self.api.names -= {"Builder", "OnnxParser"}


def put_to(module: str, folder: Path) -> tuple[str, dict[str, str], bytes]:
    """The version of an installed module, what it says to each call, and the graph it got."""
    needed(module)
    graph = folder / "graph.onnx"
    graph.write_bytes(network().SerializeToString())
    answer = run_tool("call_verdicts", folder, module, graph)
    return answer["version"], answer["verdicts"], graph.read_bytes()


def compare(real: dict[str, str], stand_in: dict[str, str]) -> None:
    """Hold a stand-in's answers against those of its module, which may have been asked more."""
    differences = [
        f"{call}\n    real: {real[call]}\n    stand-in: {answer}"
        for call, answer in stand_in.items()
        if answer != real[call]
    ]
    assert not differences, "\n".join(differences)


def test_the_stand_in_answers_each_call_as_tensorrt_for_rtx_does(tmp_path: Path) -> None:
    version, real, graph = put_to(RTX, tmp_path)
    if version not in RTX_VERSIONS:
        pytest.skip(f"{RTX} {version} is not recorded, see test_recorded_api.py")
    trt = FakeTensorRT(version, FakeCuda(), set() if has_gpu() else {"no-driver"})
    compare(real, ask(trt, graph, TABLE))
    kinds = [verdict.removesuffix(", said") for verdict in real.values()]
    assert kinds.count("TypeError") > 50 and kinds.count("AttributeError") > 5
    assert sum(not kind.endswith("Error") for kind in kinds) > 100


@pytest.mark.lean
def test_the_stand_in_answers_as_the_lean_runtime_does(tmp_path: Path) -> None:
    version, real, _ = put_to(LEAN, tmp_path)
    trt = FakeLean(version if version in VERSIONS else VERSIONS[-1])
    compare(real, ask(trt, b"", LEAN_CALLS))
    assert len(real) > 20
