"""NVIDIA's parser and builder are asked in child processes: the real ones where they are installed,
and a stand-in that crashes, hangs and takes memory.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.config import EngineConfig, ExportConfig
from edgeseg.errors import ExportError
from edgeseg.export.evaluation.library_verdicts import BuildVerdict, FileVerdict, verdicts_of
from edgeseg.export.tensorrt.library_check import AskedFiles, LibraryAnswers, ask_libraries
from edgeseg.export.tensorrt.library_worker import without_driver, worth_showing
from edgeseg.runtime.backends.tensorrt.version_differences import ParserFault
from tests.helpers.checklist import needs_rtx

ROOT = Path(__file__).parents[3]


def ask(files: dict[Flavour, bytes], *, every: bool = True, **limits: Any) -> LibraryAnswers:
    """Any: settings of an export."""
    return ask_libraries(
        AskedFiles.of(files, EngineConfig(dla=0), ExportConfig(**limits), every=every)
    )


def verdict(answers: LibraryAnswers, flavour: Flavour) -> FileVerdict:
    (only,) = answers.verdicts[flavour]
    assert FileVerdict.load(only.to_figures()) == only
    return only


def test_whatever_ends_the_child_the_other_files_are_asked_about(stand_in: Path) -> None:
    files: dict[Flavour, bytes] = {"fp32": b"hang", "int8-trt": b"later", "fp16": b"fine"}
    answers = ask(files, ask_timeout=4)
    hung = verdict(answers, "fp32")
    assert hung.parsed and hung.layers == 7 and hung.builds == () and not hung.refused
    assert hung.unfinished == (
        "building it for compute capability 7.5 took longer than 4 s and was ended; allow more "
        "with --set export.ask_timeout=3600"
    )
    died = verdict(answers, "int8-trt")
    assert [build.compute for build in died.builds] == ["7.5"] and not died.refused
    assert died.unfinished.startswith(
        "building it for compute capability 8.6 was killed by SIGABRT"
    )
    (problem,) = died.problems()
    assert problem.startswith("was not tried to the end with TensorRT for RTX 9.9: building it")
    whole = verdict(answers, "fp16")
    assert [build.bytes for build in whole.builds] == [6, 6] and not list(whole.problems())
    assert answers.remarks == [] and list(stand_in.iterdir()) == []


def test_a_child_that_eats_memory_is_ended(stand_in: Path) -> None:
    answers = ask({"fp32": b"greedy", "fp16": b"fine"}, ask_memory_mb=256)
    assert "took more than 256 MB of memory and was ended; allow more with --set " in (
        verdict(answers, "fp32").unfinished
    )
    assert len(verdict(answers, "fp16").builds) == 2


def test_refusals_are_told_with_their_reasons_and_warnings_once(stand_in: Path) -> None:
    answers = ask({"fp32": b"unknown", "int8-trt": b"refuse", "fp16": b"warn"})
    unread, unbuilt, warned = (verdict(answers, name) for name in answers.verdicts)
    assert unread.refused and unread.layers == 0 and unread.builds == ()
    assert list(unread.problems()) == [
        "is not read by the parser of TensorRT for RTX 9.9 (no importer registered for Frobnicate "
        "at Frobnicate 'layer3', node 3, code 8)"
    ]
    assert unbuilt.refused and [build.error for build in unbuilt.builds] == [
        "no kernel for SM75",
        "no kernel for SM86",
    ]
    assert next(unbuilt.problems()) == (
        "is not built by TensorRT for RTX 9.9 for compute capability 7.5 (no kernel for SM75)"
    )
    assert warned.warnings == ("weights were clamped",) and not warned.refused


def test_an_ordinary_export_builds_once_and_files_of_the_cpu_are_not_asked_about(
    stand_in: Path,
) -> None:
    answers = ask({"fp32": b"fine", "int8-cpu": b"abort"}, every=False)
    assert [build.compute for build in verdict(answers, "fp32").builds] == ["8.6"]
    assert list(answers.verdicts) == ["fp32"]


def test_a_library_that_does_not_load_is_a_remark(stand_in: Path) -> None:
    module = stand_in.parent / "site" / "tensorrt_rtx.py"
    module.write_text("raise ImportError('libtensorrt_rtx.so.1: cannot open shared object file')")
    answers = ask({"fp32": b"fine"})
    assert answers.verdicts == {} and answers.remarks == [
        "TensorRT for RTX is installed but cannot be asked: libtensorrt_rtx.so.1: cannot open "
        "shared object file"
    ]
    module.write_text("import os; os.abort()")
    (remark,) = ask({"fp32": b"fine"}).remarks
    assert remark.endswith("cannot be asked: it was killed by SIGABRT")


def test_no_room_is_one_sentence(stand_in: Path) -> None:
    stand_in.rmdir()
    with pytest.raises(ExportError, match=r"cannot be asked about the files in .* set TMPDIR"):
        ask({"fp32": b"fine"})


INTERRUPTED = """
import signal, sys, tempfile
signal.signal(signal.SIGINT, signal.default_int_handler)
tempfile.tempdir = sys.argv[1]
from edgeseg.config import EngineConfig, ExportConfig
from edgeseg.export.tensorrt.library_check import AskedFiles, ask_libraries
files = {"fp32": b"hang"}
ask_libraries(AskedFiles.of(files, EngineConfig(), ExportConfig(), every=True))
"""


def test_ctrl_c_ends_it_at_once_and_leaves_nothing(stand_in: Path) -> None:
    path = os.pathsep.join([str(stand_in.parent / "site"), str(ROOT)])
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(stand_in)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not any(b"building" in path.read_bytes() for path in stand_in.glob("*/answers.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    (folder,) = stand_in.iterdir()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) not in (0, None) and not folder.exists()
    assert not any(str(folder).encode() in command for command in commands())


def commands() -> list[bytes]:
    """The command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return found


def test_what_a_machine_without_a_driver_adds_is_left_out() -> None:
    driver = (
        "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (In catchCudaError at "
        "/_src/common/dispatch/checkMacros.cpp:250 (cudaError 35: CUDA driver version is "
        "insufficient for CUDA runtime version))"
    )
    told = without_driver(ParserFault(f"type UInt8 (checkType) {driver}", 0, "Reshape", "a", 6))
    assert told.reason == "type UInt8 (checkType)"
    assert without_driver(ParserFault(driver, 0, "", "", 6)).reason == driver
    shown = worth_showing(["a", driver, "a", *(f"layer {number}" for number in range(12))])
    assert shown == ["a", *(f"layer {number}" for number in range(9)), "and 3 more"]


@needs_rtx
def test_an_export_asks_the_real_parser_and_builder(bundle: Bundle) -> None:
    figures = bundle.manifest.figures
    assert [name for name in FLAVOURS if verdicts_of(figures[name])] == ["fp32", "int8-trt", "fp16"]
    for flavour in ("fp32", "int8-trt", "fp16"):
        (found,) = verdicts_of(figures[flavour])
        assert found.library == "tensorrt-rtx" and found.version[:2] == "1."
        assert found.parsed and found.layers > 100 and not list(found.problems()), found
        (build,) = found.builds
        assert build == BuildVerdict("8.6", build.seconds, build.bytes) and build.bytes
        assert build.bytes > 100_000
    card = bundle.read("card.md").decode()
    assert "## NVIDIA's own parser and builder" in card and "it is not the TensorRT of a" in card


@needs_rtx
def test_the_real_parser_names_what_it_refuses(bundle: Bundle) -> None:
    refused = verdict(ask({"int8-trt": bundle.read("model.int8-cpu.onnx")}), "int8-trt")
    assert refused.refused and refused.builds == ()
    (error,) = refused.errors
    assert (error.operator, error.name, error.node) == ("Reshape", "pixels.reshape", 0)
    assert "UInt8" in error.reason and "cudaError" not in error.reason


@needs_rtx
def test_a_real_warning_is_told() -> None:
    shape = [1, 3, 8, 8]
    nodes = [
        helper.make_node("Cast", ["image"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["wide", "weight"], ["scaled"]),
        helper.make_node("Cast", ["scaled"], ["out"], to=TensorProto.FLOAT),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "out")
    ]
    weight = numpy_helper.from_array(np.array(1e300), "weight")
    graph = helper.make_graph(nodes, "doubles", ends[:1], ends[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    found = verdict(ask({"fp32": model.SerializeToString()}, every=False), "fp32")
    assert "One or more weights outside the range of FLOAT was clamped" in found.warnings
    assert not list(found.problems())
