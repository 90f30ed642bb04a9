"""The stand-ins refuse what the real bindings would: otherwise passing against them would mean
nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.cudart_fake import FakeCuda
from tests.fakes.tensorrt_fake import API, VERSIONS, FakeTensorRT


def fake(version: str) -> Any:  # Any: as the real module, it has no types
    return FakeTensorRT(version, FakeCuda())


def quiet(trt: Any) -> Any:  # Any: as `fake`
    class Quiet(trt.ILogger):  # type: ignore[misc]  # as `fake`
        def log(self, severity: object, msg: str) -> None:
            pass

    return Quiet()


def test_there_are_nine_versions_of_three_majors() -> None:
    assert len(VERSIONS) == 9 and {version.split(".")[0] for version in VERSIONS} == {
        "8",
        "10",
        "11",
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_version_lacks_is_not_there(version: str) -> None:
    trt, eleven, eight = fake(version), version.startswith("11"), version.startswith("8")
    assert hasattr(trt.BuilderFlag, "INT8") != eleven and hasattr(trt.BuilderFlag, "FP16") != eleven
    assert hasattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH") != eleven
    assert hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED") != eight
    builder = trt.Builder(quiet(trt))
    with pytest.raises(AttributeError):
        builder.build_cuda_engine  # noqa: B018  # gone since 8
    config = builder.create_builder_config()
    with pytest.raises(AttributeError):
        config.no_such_setting = 1
    if not eight:
        with pytest.raises(AttributeError):
            config.max_workspace_size = 1
    if eleven:
        assert not hasattr(config, "int8_calibrator")


def test_enum_integers_are_those_of_the_version() -> None:
    old, ten, new = (fake(version) for version in (VERSIONS[0], VERSIONS[2], VERSIONS[-1]))
    assert [int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) for trt in (ten, new)] == [1, 0]
    assert int(old.NetworkDefinitionCreationFlag.EXPLICIT_PRECISION) == 1
    assert ten.BuilderFlag.GPU_FALLBACK != 3 and int(ten.BuilderFlag.GPU_FALLBACK) == 3


def test_wrong_calls_are_refused() -> None:
    trt = fake(VERSIONS[2])
    builder = trt.Builder(quiet(trt))
    config, network = builder.create_builder_config(), builder.create_network(1)
    wrong: list[Any] = [  # Any: calls of many kinds
        lambda: trt.Builder(),
        lambda: trt.Builder(quiet(trt), 1),
        lambda: builder.create_network(flag=1),
        lambda: builder.create_network("1"),
        lambda: builder.build_serialized_network(network),
        lambda: builder.build_serialized_network(network, configuration=config),
        lambda: config.set_flag(3),
        lambda: config.set_flag(trt.DeviceType.DLA),
        lambda: config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, "512"),
        lambda: config.set_timing_cache(config.create_timing_cache(b""), 0),
    ]
    for call in wrong:
        with pytest.raises(TypeError, match="incompatible function arguments"):
            call()
    with pytest.raises(AttributeError):
        trt.OnnxParser(network, quiet(trt)).no_such_call  # noqa: B018  # it raises
    with pytest.raises(AssertionError, match="unknown network flags"):
        builder.create_network(1 << 9)


def test_a_logger_that_was_not_initialized_is_refused() -> None:
    trt = fake(VERSIONS[2])

    class Hasty(trt.ILogger):  # type: ignore[misc, name-defined]  # as `fake`
        def __init__(self) -> None:
            pass

    with pytest.raises(AttributeError):
        trt.Builder(Hasty())


def test_the_data_file_is_small_and_holds_neighbors() -> None:
    assert len(API["classes"]["IExecutionContext"]) > 40 and len(API["enums"]["BuilderFlag"]) > 4
