"""A built engine is used only if it computes what was exported, in INT8 where it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeseg.bundle import Bundle, write_bundle
from edgeseg.config import EngineConfig
from edgeseg.runtime.backends.agreement_limits import minimum_agreement
from edgeseg.runtime.backends.tensorrt.building import engine_acceptance
from edgeseg.runtime.backends.tensorrt.engine_provider import engine_parts
from tests.helpers.bundles import manifest, network
from tests.helpers.engines import Box, engine_bundle, get_engine, install


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return engine_bundle(tmp_path_factory.mktemp("engines") / "b")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    return install(monkeypatch, tmp_path / "cache")


def test_int8_is_held_to_what_its_file_reached_at_export(bundle: Bundle, tmp_path: Path) -> None:
    def least(figures: Any, flavour: Any = "int8-trt") -> float:  # Any: of a manifest
        made = write_bundle(
            tmp_path / "f", manifest(figures=figures), {"model.onnx": network().SerializeToString()}
        )
        return minimum_agreement(made, flavour)

    assert [least({}), least({"int8-trt": 3}), least({"int8-trt": {"agreement": "x"}})] == [
        98,
        98,
        98,
    ]
    assert [least({"int8-trt": {"agreement": value}}) for value in (99.9, 97.0, 20.0)] == [
        98,
        96,
        90,
    ]
    assert least({"fp16": {"agreement": 20.0}}, "fp16") == least({}, "fp32") == 99.5


def test_fewer_int8_convolutions_than_the_file_has_are_a_warning(box: Box, tmp_path: Path) -> None:
    full = engine_bundle(tmp_path / "b", figures={"int8-trt": {"integer": 2}})
    record, _ = get_engine(box, full)
    assert record.warnings == ("1 of 2 INT8 convolutions run in INT8; float: copied",)
    box.trt.faults.add("inspector")
    assert "told nothing" in get_engine(box, full, force=True)[0].warnings[0]


def test_the_power_mode_is_information_and_no_part_of_the_key(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_acceptance, "power_mode", lambda: "pmode:0002")
    assert get_engine(box, bundle)[0].power == "pmode:0002"
    monkeypatch.setattr(engine_acceptance, "power_mode", lambda: "pmode:0000")
    get_engine(box, bundle)
    parts = engine_parts(box.environment, "int8-trt", EngineConfig(), "x")
    assert box.builds == 1 and "power" not in parts
