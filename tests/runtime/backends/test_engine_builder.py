"""The builder against stand-ins for nine versions of TensorRT and four of TensorRT for RTX: what is
called, in which order, and how each failure reads. `stand_ins/test_builds.py` has the real one.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from edgeseg.bundle import Flavour
from edgeseg.bundle.graph_signature import GraphSignature
from edgeseg.config import EngineConfig
from edgeseg.errors import EngineError
from edgeseg.runtime.backends.tensorrt.building.build_recipe import BuildRecipe
from edgeseg.runtime.backends.tensorrt.building.engine_builder import BuiltEngine, build_engine
from edgeseg.runtime.backends.tensorrt.building.messages import TensorRTMessages
from tests.fakes.cudart_fake import FakeCuda
from tests.fakes.tensorrt_fake import RTX_VERSIONS, VERSIONS, FakeTensorRT
from tests.helpers.bundles import manifest, network
from tests.helpers.engines import JETSON, NEW, OLD, int8_trt

FLAVOURS: list[Flavour] = ["fp32", "fp16", "int8-trt"]
SIGNATURE = GraphSignature.of(manifest())
ALL = [*VERSIONS, *RTX_VERSIONS]


def made(
    version: str = JETSON,
    flavour: Flavour = "int8-trt",
    *faults: str,
    data: bytes | None = None,
    timing: bytes = b"",
    compute: str | None = None,
    **config: Any,  # Any: as EngineConfig
) -> tuple[BuiltEngine, FakeTensorRT, list[str]]:
    """Build with a stand-in; also what it was asked, and what its logger said."""
    trt = FakeTensorRT(version, FakeCuda(), set(faults))
    said: list[str] = []
    messages = TensorRTMessages(said.append)
    data = data or (int8_trt() if flavour == "int8-trt" else network().SerializeToString())
    recipe = BuildRecipe.of(trt, flavour, EngineConfig(**config), compute)
    return (
        build_engine(trt, data, recipe, SIGNATURE, messages, messages.logger(trt), timing),
        trt,
        said,
    )


def test_a_logger_is_there_as_long_as_the_process() -> None:
    """A library calls the first one for all engines, also when the first engine is gone."""
    trt = FakeTensorRT(JETSON, FakeCuda(), set())
    logger = weakref.ref(TensorRTMessages(lambda text: None).logger(trt))
    gc.collect()
    assert logger() is not None


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_builds_every_flavour(version: str, flavour: Flavour) -> None:
    built, trt, _ = made(version, flavour)
    assert built.plan and built.timing == f"timings of {version}".encode()
    strong = version.startswith("11")
    wanted = [] if strong else {"fp32": [], "fp16": ["FP16"], "int8-trt": ["FP16", "INT8"]}[flavour]
    assert [line for line in trt.log if "set_flag" in line] == [
        f"IBuilderConfig.set_flag({flag})" for flag in wanted
    ]
    assert (
        "Builder.create_network(1)" in trt.log
    )  # bit 0: EXPLICIT_BATCH up to 10, STRONGLY_TYPED in 11


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("version", RTX_VERSIONS)
def test_rtx_builds_every_flavour_for_the_gpu_at_hand_or_a_named_one(
    version: str, flavour: Flavour
) -> None:
    built, trt, _ = made(version, flavour)
    assert built.plan and built.timing == b"" and not any("timing" in line for line in trt.log)
    assert not any("set_flag" in line for line in trt.log)  # 1.4 has INT8 and FP16, and takes none
    target = trt.log.index("IBuilderConfig.set_compute_capability(CURRENT, 0)")
    assert trt.log[target - 1] == "IBuilderConfig.num_compute_capabilities = 1"
    assert target < trt.log.index("Builder.build_serialized_network()")
    _, trt, _ = made(version, flavour, compute="8.9")
    assert "IBuilderConfig.set_compute_capability(SM89, 0)" in trt.log


def test_rtx_without_a_driver_builds_for_a_named_gpu_alone() -> None:
    assert made(RTX_VERSIONS[-1], "int8-trt", "no-driver", compute="12.0")[0].plan
    with pytest.raises(
        EngineError, match=r"TensorRT for RTX 1\.7.* cannot build .*CUDA driver version is insuff"
    ):
        made(RTX_VERSIONS[-1], "int8-trt", "no-driver")


def test_a_gpu_that_a_library_does_not_build_for_is_refused() -> None:
    for version, compute in ((RTX_VERSIONS[-1], "9.0"), (JETSON, "8.6")):
        with pytest.raises(EngineError, match=f"builds no engine for {compute}"):
            made(version, "int8-trt", compute=compute)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_calls_come_in_order(version: str) -> None:
    _, trt, _ = made(version, dla=None, workspace_mb=256, level=4)
    steps = [
        "Builder()",
        "Builder.create_network(1)",
        "OnnxParser()",
        "OnnxParser.parse()",
        "Builder.create_builder_config()",
        f"IBuilderConfig.set_memory_pool_limit(WORKSPACE, {256 << 20})",
        "IBuilderConfig.profiling_verbosity = DETAILED",
        "IBuilderConfig.builder_optimization_level = 4",
        "IBuilderConfig.max_aux_streams = 0",
        "IBuilderConfig.create_timing_cache()",
        "IBuilderConfig.set_timing_cache(False)",
        "Builder.build_serialized_network()",
        "IBuilderConfig.get_timing_cache()",
        "ITimingCache.serialize()",
    ]
    places = [trt.log.index(step) for step in steps]
    assert places == sorted(places)
    flags = [index for index, line in enumerate(trt.log) if "set_flag" in line]
    assert all(places[4] < index < places[11] for index in flags)


def test_the_recipe_follows_what_the_module_has() -> None:
    config = EngineConfig(dla=1, workspace_mb=99, level=2)
    old, ten, new = (
        BuildRecipe.of(FakeTensorRT(version, FakeCuda()), "int8-trt", config)
        for version in (OLD, JETSON, NEW)
    )
    assert (old.typing, ten.typing, new.typing) == ("weak", "weak", "strong")
    assert old.network_flags == ten.network_flags == ("EXPLICIT_BATCH",) and new.network_flags == (
        "STRONGLY_TYPED",
    )
    assert ten.builder_flags == ("FP16", "INT8", "GPU_FALLBACK") and new.builder_flags == (
        "GPU_FALLBACK",
    )
    assert (ten.workspace_mb, ten.level, ten.dla) == (99, 2, 1)
    assert BuildRecipe.load({**vars(ten), "builder_flags": list(ten.builder_flags)}) == ten


@pytest.mark.parametrize("version", VERSIONS)
def test_dla_is_asked_for_with_the_gpu_behind_it(version: str) -> None:
    _, trt, _ = made(version, "int8-trt", "dla", dla=1)
    asked = ("set_flag(GPU_FALLBACK)", "default_device_type = DLA", "DLA_core = 1")
    assert all(f"IBuilderConfig.{line}" in trt.log for line in asked)


def test_dla_that_is_not_there_or_cannot_is_refused() -> None:
    with pytest.raises(EngineError, match=r"has 0 DLA cores .*leave out --dla"):
        made(dla=0)
    with pytest.raises(EngineError, match="FP16 and INT8 only"):
        made(JETSON, "fp32", "dla", dla=0)


@pytest.mark.parametrize("version", ALL)
def test_what_the_parser_refuses_is_told_in_full(version: str) -> None:
    with pytest.raises(EngineError) as caught:
        made(version, "fp32", "parse")
    text = str(caught.value)
    assert (
        "cannot read model.onnx" in text
        and "mode is not supported" in text
        and "Error parsing text format" in text
    )
    assert "node 3, code 8" in text and "\n" not in text
    assert ("Resize 'node3'" in text) == (not version.startswith("8"))


FAILURES = [
    (
        "builder",
        r"cannot start on this machine \(CUDA initialization failure with error: 35\); "
        "`edgeseg doctor`",
    ),
    ("builder-silent", r"cannot start on this machine \(TensorRT gave no reason\)"),
    (
        "build",
        r"cannot build model.int8-trt.onnx \(\[optimizer.cpp\] "
        "Could not find any implementation for node",
    ),
    ("build-silent", r"cannot build model.int8-trt.onnx \(TensorRT gave no reason\)"),
]


@pytest.mark.parametrize(("fault", "sentence"), FAILURES)
@pytest.mark.parametrize("version", ALL)
def test_a_refusal_is_one_sentence_with_the_loggers_reason(
    version: str, fault: str, sentence: str
) -> None:
    with pytest.raises(EngineError, match=sentence):
        made(version, "int8-trt", fault)


@pytest.mark.parametrize("version", VERSIONS)
def test_old_timings_are_used_where_they_fit_and_dropped_where_not(version: str) -> None:
    built, trt, _ = made(version, timing=f"timings of {version}".encode())
    assert trt.log.count("IBuilderConfig.create_timing_cache()") == 1 and built.timing
    built, trt, _ = made(version, timing=b"timings of another")
    assert trt.log.count("IBuilderConfig.create_timing_cache()") == 2 and built.timing.endswith(
        version.encode()
    )
    built, trt, _ = made(version, "int8-trt", "no-timing", timing=b"x")
    assert built.plan and built.timing == b""


def test_verbose_messages_are_not_kept() -> None:
    _, _, said = made()
    assert said == ["Timing Runner: Conv_0 (CaskConvolution)"]


def test_a_graph_of_other_sizes_is_refused_before_anything_is_built() -> None:
    model = network()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value *= 2
    trt = FakeTensorRT(JETSON, FakeCuda())
    messages = TensorRTMessages(lambda text: None)
    recipe = BuildRecipe.of(trt, "fp32", EngineConfig())
    with pytest.raises(
        EngineError,
        match=r"reads entropy, image, mask of model\.onnx differently from its manifest",
    ):
        build_engine(
            trt, model.SerializeToString(), recipe, SIGNATURE, messages, messages.logger(trt)
        )
    assert not any("build_serialized" in line for line in trt.log)
