"""TensorRT behind `open_runner`: taken where it works, told where not, and never given a bundle
that is not right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.bundle import Bundle, Flavour, write_bundle
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.config import EngineConfig
from edgeseg.errors import BundleError, DependencyError, EngineError
from edgeseg.runtime.backends import cuda_runtime
from edgeseg.runtime.backends.engine_cache import PLAN, EngineCache, EngineEntry
from edgeseg.runtime.backends.open_runner import open_runner, resolve_backend
from edgeseg.runtime.backends.tensorrt import libraries, native_runner
from edgeseg.runtime.backends.tensorrt.engine_provider import (
    TensorRTEnvironment,
    get_or_build_engine,
)
from tests.helpers.bundles import make_bundle, marked, network, painted
from tests.helpers.engines import Box, engine_bundle, install, int8_trt

FRAME = painted(np.array([[0, 1], [2, 3]]))[None]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return engine_bundle(tmp_path_factory.mktemp("engines") / "b")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    return install(monkeypatch, tmp_path / "cache")


def get(box: Box, bundle: Bundle, flavour: Any) -> tuple[EngineEntry, bytes]:  # Any: a flavour
    return get_or_build_engine(
        bundle, flavour, read_verified_graph(bundle, flavour), EngineConfig(), box.environment
    )


def test_auto_takes_tensorrt_and_says_so_the_first_time(box: Box, bundle: Bundle) -> None:
    with open_runner(bundle, report=box) as run:
        assert (run.backend, run.flavour, run.streams) == ("tensorrt", "int8-trt", 1)
        assert run(FRAME).mask.shape[0] == 1
    assert len(box.said) == 1 and "building a TensorRT" in box.said[0] and box.cuda.balanced
    with open_runner(bundle, report=box, streams=0) as run:
        assert run.streams == native_runner.STREAMS
    assert len(box.said) == 1 and box.builds == 1


def test_auto_takes_what_was_fastest_here(box: Box, bundle: Bundle) -> None:
    for flavour, ms in (("int8-trt", 9.0), ("fp16", 5.0)):
        record, plan = get(box, bundle, flavour)
        EngineCache().store(record.model_copy(update={"ms": ms}), plan)
    with open_runner(bundle, "tensorrt") as run:
        assert run.flavour == "fp16"
    with open_runner(bundle, "tensorrt", "int8") as run:
        assert run.flavour == "int8-trt"


def test_auto_goes_on_without_tensorrt_with_one_clear_note_for_each_file(
    box: Box, bundle: Bundle
) -> None:
    box.trt.faults.add("build")
    with open_runner(bundle, report=box, precision="auto") as run:
        assert run.backend == "cpu"
    notes = [line for line in box.said if "going on without TensorRT's" in line]
    assert len(notes) == 3 and box.builds == 3
    with (
        pytest.raises(EngineError, match="cannot build"),
        open_runner(bundle, "tensorrt", report=box),
    ):
        pass


def test_auto_keeps_to_the_precision_asked_for(box: Box, bundle: Bundle, bundle_path: Path) -> None:
    with open_runner(bundle, precision="fp16") as run:
        assert run.flavour == "fp16"
    with open_runner(
        bundle_path, precision="int8", report=box
    ) as run:  # has INT8 for the CPU alone
        assert (run.backend, run.flavour) == ("cpu", "int8-cpu")
    assert box.said == []


def test_auto_without_the_module_is_silent_and_with_a_broken_one_says_why(
    box: Box, bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(library: object) -> None:
        raise ImportError("libnvinfer.so.10: cannot open shared object file")

    monkeypatch.setattr(libraries, "import_library", broken)
    with open_runner(bundle_path, report=box) as run:
        assert run.backend == "cpu"
    assert len(box.said) == 1 and "libnvinfer.so.10" in box.said[0]
    monkeypatch.setattr(native_runner, "available_backends", lambda: ())
    with open_runner(bundle_path, report=box) as run:
        assert run.backend == "cpu"
    assert len(box.said) == 1
    with (
        pytest.raises(DependencyError, match="python3-libnvinfer"),
        open_runner(bundle_path, "tensorrt"),
    ):
        pass


def test_auto_with_a_folder_that_cannot_be_used_says_so_once(
    box: Box, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with open_runner(bundle, report=box) as run:
        assert run.backend == "cpu"
    assert len(box.said) == 1 and "XDG_CACHE_HOME" in box.said[0]


def test_a_machine_without_a_gpu_looks_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_runner, "has_gpu", lambda: False)
    assert native_runner.available_backends() == () and isinstance(cuda_runtime.has_gpu(), bool)


def test_tools_are_found_or_named(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TensorRTEnvironment.detect().trt is box.trt
    monkeypatch.setattr(cuda_runtime, "find_libraries", lambda: iter([]))
    with pytest.raises(DependencyError, match="no libcudart was found"):
        TensorRTEnvironment.detect()


def test_resolving_auto_names_tensorrt_where_it_is(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve_backend("auto") == resolve_backend("tensorrt") == "tensorrt"
    monkeypatch.setattr(native_runner, "available_backends", lambda: ())
    assert resolve_backend("auto") == "cpu"
    with pytest.raises(DependencyError, match="cannot use ort-tensorrt"):
        resolve_backend("ort-tensorrt")


def external() -> bytes:
    model = network()
    tensor = model.graph.initializer[0]
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    tensor.data_location = 1
    tensor.ClearField("raw_data")
    return bytes(model.SerializeToString())


def foreign() -> bytes:
    model = network()
    model.graph.node[3].domain = "com.microsoft"
    return bytes(model.SerializeToString())


def taller() -> bytes:
    model = network()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 128
    return bytes(model.SerializeToString())


BAD = {
    "external data": (external, "fp32", "another file"),
    "foreign operator": (foreign, "fp32", "foreign domain"),
    "wrong sizes": (taller, "fp32", "as its manifest says"),
    "wrong flavour": (
        lambda: marked(network(), "int8-cpu"),
        "int8-trt",
        "made as int8-cpu, but int8-trt",
    ),
    "no flavour": (lambda: network().SerializeToString(), "int8-trt", "does not say which engine"),
    "flipped bit": (int8_trt, "int8-trt", "damaged"),
}


@pytest.mark.parametrize(
    ("what", "backend"),
    [
        (what, backend)
        for what, (_, flavour, _) in BAD.items()
        for backend in ("auto", "tensorrt", "ort-tensorrt", "cpu")
        if flavour == "fp32"
        or backend != "cpu"  # the CPU takes no file for TensorRT in the first place
    ],
)
def test_bad_bundles_are_refused_before_any_engine_or_session_is_made(
    what: str,
    backend: Any,
    box: Box,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, flavour, sentence = BAD[what]
    name = {"fp32": "model.onnx", "int8-trt": "model.int8-trt.onnx"}[flavour]
    files = {one: bundle.read(one) for one in bundle.manifest.files} | {name: data()}
    made = write_bundle(tmp_path / "bad", bundle.manifest, files)
    if what == "flipped bit":
        content = bytearray((made.path / name).read_bytes())
        content[len(content) // 2] ^= 1
        (made.path / name).write_bytes(content)
    sessions: list[object] = []
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *_, **__: sessions.append(1))
    monkeypatch.setattr(
        "edgeseg.runtime.backends.onnxruntime_backend.require_backend", lambda backend: None
    )
    box.cuda.log.clear()
    with (
        pytest.raises(BundleError, match=sentence),
        open_runner(made, backend, flavour, report=box),  # type: ignore[arg-type]  # from a table
    ):
        pass
    assert not sessions and box.builds == 0
    assert not any(
        "Builder" in line or "Runtime()" in line or "Parser" in line for line in box.cuda.log
    )


def test_engines_of_a_bundle_are_never_taken(box: Box, bundle: Bundle, tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "b", int8=False)
    (made.path / PLAN).write_bytes(b"code of somebody else")
    (made.path / "model.plan").write_bytes(b"code of somebody else")
    with open_runner(made, "tensorrt", "fp32", report=box):
        pass
    assert box.builds == 1
    text = (made.path / "manifest.json").read_text()
    entry = '"engine.plan": {"size": 1, "sha256": "' + "0" * 64 + '"}, "model.onnx"'
    (made.path / "manifest.json").write_text(text.replace('"model.onnx"', entry, 1))
    with pytest.raises(BundleError, match=r"foreign files engine\.plan"):
        Bundle.open(made.path)


@pytest.mark.parametrize("flavour", ["fp32", "fp16", "int8-trt"])
def test_onnx_runtimes_provider_gets_the_flavour_its_flags_and_a_folder_of_ours(
    flavour: Flavour, box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []  # Any: providers with options

    class Session:
        def __init__(
            self, data: bytes, options: object, providers: list[Any], **rest: object
        ) -> None:  # Any: as above
            asked.extend(providers)

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]  # what ONNX Runtime falls back to without a word

    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    monkeypatch.setattr(
        "edgeseg.runtime.backends.onnxruntime_backend.require_backend", lambda backend: None
    )
    with (
        pytest.raises(DependencyError, match="could not start ort-tensorrt"),
        open_runner(bundle, "ort-tensorrt", flavour),
    ):
        pass
    name, options = asked[0]
    assert name == "TensorrtExecutionProvider" and asked[1:] == [
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]
    assert options["trt_int8_enable"] == (flavour == "int8-trt") and options["trt_fp16_enable"] == (
        flavour != "fp32"
    )
    folder = Path(options["trt_engine_cache_path"])
    assert (
        folder.is_dir()
        and folder.parent == EngineCache().folder
        and folder.parent.stat().st_mode & 0o777 == 0o700
    )
    assert box.builds == 0
