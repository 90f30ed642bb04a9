"""The stand-ins refuse what the real bindings would: otherwise passing against them would mean
nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.call_table import CALLS
from tests.fakes.call_verdicts import ask
from tests.fakes.cudart_fake import FakeCuda
from tests.fakes.recorded_api import RecordedApi
from tests.fakes.tensorrt_fake import RTX_VERSIONS, VERSIONS, FakeTensorRT
from tests.helpers.bundles import network

ALL = [*VERSIONS, *RTX_VERSIONS]
# Where a version answers otherwise than the newest TensorRT for RTX, not for want of a name.
OTHERWISE = {
    "builder.create_network()",  # 8.6: without EXPLICIT_BATCH no ONNX can be read
    "builder.create_network(0)",
    "config.profiling_verbosity",  # 8.6 calls it DEFAULT
    # kept before 11
    "config.max_aux_streams = 2; config.max_aux_streams = -1; config.max_aux_streams",
}


def fake(version: str) -> Any:  # Any: as the real module, it has no types
    return FakeTensorRT(version, FakeCuda())


def quiet(trt: Any) -> Any:  # Any: as `fake`
    class Quiet(trt.ILogger):  # type: ignore[misc]  # as `fake`
        def log(self, severity: object, msg: str) -> None:
            pass

    return Quiet()


@pytest.fixture(scope="module")
def newest() -> dict[str, str]:
    """What the newest stand-in says, which `test_calls` holds against the real module."""
    return ask(fake(RTX_VERSIONS[-1]), network().SerializeToString(), CALLS)


def test_there_are_thirteen_versions_of_two_libraries() -> None:
    majors = [version.partition(".")[0] for version in VERSIONS]
    assert [majors.count(major) for major in ("8", "10", "11")] == [1, 5, 3]
    assert [fake(version).__name__ for version in (VERSIONS[0], RTX_VERSIONS[0])] == [
        "tensorrt",
        "tensorrt_rtx",
    ]


@pytest.mark.parametrize("version", ALL)
def test_every_version_takes_and_refuses_the_same_calls(
    version: str, newest: dict[str, str]
) -> None:
    found = ask(fake(version), network().SerializeToString(), CALLS)
    other = {call for call, verdict in found.items() if verdict != newest[call]}
    lacking = {call for call in other if found[call].startswith("AttributeError")}
    assert other - lacking <= OTHERWISE
    names = ("compute_capabilit", "ComputeCapability", "one(config)", "engine_validity")
    known = {call for call in lacking if any(name in call for name in names)}
    assert lacking - known <= ({call for call in lacking if "8.6" in version})


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


def test_what_is_in_the_module_and_not_in_the_stand_in_says_so() -> None:
    trt = fake(VERSIONS[2])
    with pytest.raises(NotImplementedError, match=r"no tensorrt\.Refitter; give it one"):
        trt.Refitter  # noqa: B018  # it raises
    with pytest.raises(NotImplementedError, match=r"no Builder\.is_network_supported; give it one"):
        trt.Builder(quiet(trt)).is_network_supported  # noqa: B018  # it raises


def test_a_logger_that_was_not_initialized_is_refused() -> None:
    trt = fake(VERSIONS[2])

    class Hasty(trt.ILogger):  # type: ignore[misc, name-defined]  # as `fake`
        def __init__(self) -> None:
            pass

    with pytest.raises(TypeError, match="must be called when overriding"):
        Hasty()


def test_a_second_logger_is_warned_while_the_first_is_in_use() -> None:
    trt = fake(RTX_VERSIONS[-1])
    said: list[str] = []

    class Listener(trt.ILogger):  # type: ignore[misc, name-defined]  # as `fake`
        def log(self, severity: object, msg: str) -> None:
            said.append(msg)

    builder = trt.Builder(quiet(trt))
    trt.Runtime(Listener())
    assert len(said) == 1 and "differs from one already registered" in said[0]
    del builder
    trt.Runtime(Listener())
    assert len(said) == 1


def test_an_engine_for_other_gpus_does_not_load() -> None:
    trt = FakeTensorRT(RTX_VERSIONS[-1], FakeCuda(compute=(8, 9)))
    logger = quiet(trt)
    builder: Any = trt.Builder(logger)  # Any: as `fake`
    plans = {}
    for name in ("SM86", "SM89"):
        read, config = builder.create_network(), builder.create_builder_config()
        assert trt.OnnxParser(read, logger).parse(network().SerializeToString())
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, name), 0)
        plans[name] = bytes(builder.build_serialized_network(read, config))
    runtime = trt.Runtime(logger)
    assert runtime.deserialize_cuda_engine(plans["SM86"]) is None
    assert runtime.deserialize_cuda_engine(plans["SM89"]) is not None
    validity, problems = trt.EngineValidity, trt.EngineInvalidityDiagnostics
    assert runtime.get_engine_validity(plans["SM89"]) == (validity.VALID, 0)
    assert runtime.get_engine_validity(plans["SM86"]) == (
        validity.INVALID,
        int(problems.UNSUPPORTED_CC),
    )


def test_without_a_driver_tensorrt_has_no_builder_and_its_runtime_crashes() -> None:
    trt = FakeTensorRT(VERSIONS[-1], FakeCuda(), {"no-driver"})
    with pytest.raises(TypeError, match="returned nullptr"):
        trt.Builder(quiet(trt))
    with pytest.raises(AssertionError, match="real library crashes"):
        trt.Runtime(quiet(trt))


def test_the_data_files_hold_neighbors() -> None:
    for version in ALL:
        api = RecordedApi(version)
        assert len(api.members("IExecutionContext")) > 30 and len(api.enums["BuilderFlag"]) > 4
