"""`edgeseg build` and its neighbors as they are typed, on a device made of stand-ins."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edgeseg import doctor
from edgeseg.bundle import Bundle
from edgeseg.cli.app import app
from edgeseg.config import EngineConfig
from edgeseg.installation import install_command
from edgeseg.runtime.backends.engine_cache import EngineCache
from edgeseg.runtime.backends.tensorrt import libraries
from edgeseg.runtime.backends.tensorrt.equivalent_commands import FAMILIES, equivalent_commands
from tests.helpers.bundles import painted
from tests.helpers.engines import JETSON, Box, engine_bundle, install
from tests.helpers.footage import save_video


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return engine_bundle(tmp_path_factory.mktemp("engines") / "b")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.chdir(tmp_path)
    return install(monkeypatch, tmp_path / "cache", integrated=True)


def edgeseg(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_build_makes_tries_and_keeps_engines(box: Box, bundle: Bundle) -> None:
    done = edgeseg("build", bundle.path)
    assert done.exit_code == 0, done.output
    assert (
        box.builds == 2
        and "building a TensorRT 10.3.0 engine of model.int8-trt.onnx for Fake Orin" in done.stderr
    )
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert (
        "weak" in rows["int8-trt"]
        and "1 of 2" in rows["int8-trt"]
        and "98.00 %" in rows["int8-trt"]
    )
    assert (
        "99.50 %" in rows["fp16"]
        and f"device Fake Orin, tensorrt {JETSON}, cuda 12.6" in done.stdout
    )
    assert (
        "is the fastest here" in done.stderr and f"next: edgeseg infer {bundle.path}" in done.stderr
    )
    again = edgeseg("build", bundle.path)
    assert again.exit_code == 0 and box.builds == 2 and "building" not in again.stderr
    assert (
        edgeseg("build", bundle.path, "--force", "--precision", "fp16").exit_code == 0
        and box.builds == 3
    )


def test_build_as_json(box: Box, bundle: Bundle) -> None:
    done = edgeseg(
        "build", bundle.path, "--precision", "int8", "--json", "--set", "engine.workspace_mb=300"
    )
    facts = json.loads(done.stdout)
    assert (
        facts["int8-trt"]["parts"]["workspace_mb"] == "300"
        and facts["int8-trt"]["evidence"]["int8_convolutions"]
    )


def test_a_refused_engine_is_an_error_beside_those_that_passed(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.trt.faults.add("float")
    done = edgeseg("build", bundle.path)
    assert done.exit_code == 1 and "fp16" in done.stdout and "int8-trt" not in done.stdout
    assert (
        "error: none of the 2 convolutions of model.int8-trt.onnx runs in INT8 here" in done.stderr
    )
    assert "Traceback" not in done.output


MISTAKES: list[tuple[list[str], str]] = [
    (["--precision", "int4"], "int4"),
    (["--dla", "1"], "no core 1"),
    (["--precision", "fp32", "--dla", "0"], "FP16 and INT8 only"),
    (["--set", "engine.level=9"], "engine.level"),
    (["--set", "engine.workspace_mb=1"], "engine.workspace_mb"),
]


@pytest.mark.parametrize(("arguments", "what"), MISTAKES, ids=lambda value: str(value))
def test_mistakes_earn_one_sentence(
    arguments: list[str], what: str, box: Box, bundle: Bundle
) -> None:
    done = edgeseg("build", bundle.path, *arguments)
    assert done.exit_code == 1 and done.stderr.count("error: ") == 1 and what in done.stderr, (
        done.output
    )


def test_build_without_tensorrt_says_what_to_install(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(libraries, "installed_backends", lambda: ())
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    done = edgeseg("build", bundle.path)
    assert (
        done.exit_code == 1
        and "cannot use tensorrt" in done.stderr
        and install_command("tensorrt") in done.stderr
    )


def test_infer_builds_on_first_use_and_says_so(box: Box, bundle: Bundle, tmp_path: Path) -> None:
    clip = save_video(
        tmp_path / "clip.avi", [painted(np.array([[0, 1], [2, 3]]), 96, 128) for _ in range(5)]
    )
    first, second = (edgeseg("infer", bundle.path, "--source", clip) for _ in range(2))
    assert first.exit_code == 0, first.output
    assert (
        "building a TensorRT" in first.stderr and "int8-trt on tensorrt, 2 at once" in first.stderr
    )
    assert "building" not in second.stderr and box.builds == 1 and box.cuda.balanced


def test_infer_goes_on_where_tensorrt_refuses_unless_it_was_asked_for(
    box: Box, bundle: Bundle, tmp_path: Path
) -> None:
    clip = save_video(
        tmp_path / "clip.avi", [painted(np.array([[0, 1], [2, 3]]), 96, 128) for _ in range(3)]
    )
    box.trt.faults.add("build")
    done = edgeseg("infer", bundle.path, "--source", clip)
    assert (
        done.exit_code == 0
        and "fp32 on cpu" in done.stderr
        and "going on without TensorRT's" in done.stderr
    )
    asked = edgeseg("infer", bundle.path, "--source", clip, "--backend", "tensorrt")
    assert asked.exit_code == 1 and "error: " in asked.stderr and "cannot build" in asked.stderr


def test_bench_times_every_engine(box: Box, bundle: Bundle) -> None:
    done = edgeseg("bench", bundle.path, "--frames", 3, "--json")
    facts = json.loads(done.stdout)
    assert facts["backend"] == "tensorrt" and set(facts["files"]) == {"fp32", "fp16", "int8-trt"}
    assert facts["agreement"]["model.int8-trt.onnx"] > 99


def test_dry_run_prints_the_same_build_by_hand_without_tensorrt(
    bundle: Bundle, tmp_path: Path
) -> None:
    done = edgeseg("build", bundle.path, "--dry-run", "--precision", "int8")
    assert done.exit_code == 0 and not done.stderr
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
    assert len(lines) == 5 * len(FAMILIES) and all(
        shlex.split(line)[0] in ("trtexec", "polygraphy") for line in lines
    )
    assert all(f"# int8-trt, TensorRT {family}" in done.stdout for family in FAMILIES)


@pytest.mark.parametrize("flavour", ["fp32", "fp16", "int8-trt"])
@pytest.mark.parametrize("family", FAMILIES)
def test_commands_differ_where_the_versions_do(family: str, flavour: Any, bundle: Bundle) -> None:
    config = EngineConfig(workspace_mb=700, level=4, dla=None if flavour == "fp32" else 1)
    found = {
        command.purpose: command.line
        for command in equivalent_commands(bundle, flavour, config, family)
    }
    build, time = shlex.split(found["build"]), shlex.split(found["time"])
    weak = family != "11"
    assert ("--int8" in build) == (weak and flavour == "int8-trt")
    assert ("--fp16" in build) == (weak and flavour != "fp32")
    assert ("--useDLACore=1" in build) == ("--allowGPUFallback" in build) == (flavour != "fp32")
    assert "--memPoolSize=workspace:700" in build and "--builderOptimizationLevel=4" in build
    assert ("--useCudaGraph" in time) == weak  # the default from 11 on
    assert ("--strongly-typed" in found["against ONNX Runtime"]) != weak
    assert "image:[1,64,96,3]" in found["against ONNX Runtime"]


def test_doctor_tells_tensorrt_cuda_and_engines(
    box: Box, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edgeseg("build", bundle.path, "--precision", "int8")
    box.trt.faults.add("build")
    edgeseg("build", bundle.path, "--precision", "fp16")
    monkeypatch.setattr(libraries, "import_library", lambda library: box.trt)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    found = doctor.examine(tmp_path)
    assert (
        found.tensorrt == JETSON
        and found.cudart == "12.6, Fake Orin, compute 8.7, memory shared with the CPU"
    )
    refused, kept = found.engines
    assert refused.startswith("fp16") and "refused (tries so far: 1)" in refused
    assert kept.startswith("int8-trt") and "% of golden pixels" in kept
    assert len(EngineCache().entries()) == 2
    shown = edgeseg("doctor").stdout
    assert "Fake Orin" in shown and "refused (tries so far: 1)" in shown


def test_doctor_tells_why_tensorrt_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(library: object) -> None:
        raise ImportError("libnvinfer.so.10: cannot open shared object file")

    monkeypatch.setattr(libraries, "import_library", broken)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert (
        doctor.examine(tmp_path).tensorrt
        == "does not load (libnvinfer.so.10: cannot open shared object file)"
    )
