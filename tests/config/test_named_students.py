"""`distill.student`: a name that stands for a network and what suits it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edgeseg.config import (
    DistillConfig,
    load_saved_config,
    named_students,
    to_toml,
    validate_config,
)
from edgeseg.errors import ConfigError


@pytest.mark.parametrize("name", named_students.NAMED_STUDENTS)
def test_a_name_fills_in_its_network_and_survives_being_saved(name: str) -> None:
    config = DistillConfig(student=name)  # type: ignore[arg-type, unused-ignore]
    for key, value in named_students.NAMED_STUDENTS[name].items():
        assert getattr(config, key) == value
    assert validate_config(DistillConfig, config.model_dump(), "saved") == config
    assert named_students.name_of(config.arch, config.encoder) == name


def test_a_run_keeps_its_network_where_a_name_means_another_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    saved = tmp_path / "config.toml"
    saved.write_text(to_toml(DistillConfig(student="fast")))
    later = {"fast": {"arch": "lraspp", "encoder": "mobilenetv2_050"}}
    monkeypatch.setattr(named_students, "NAMED_STUDENTS", later)
    assert load_saved_config(DistillConfig, saved).encoder == "edgenet_050"


def test_what_is_given_beside_a_name_counts_but_for_the_network() -> None:
    config = DistillConfig(student="fast", weights="own.safetensors", steps=5)
    assert (config.weights, config.steps, config.encoder_lr) == ("own.safetensors", 5, 2e-3)
    with pytest.raises(ConfigError, match=re.escape("leave encoder or student out")):
        validate_config(DistillConfig, {"student": "fast", "encoder": "resnet50"}, "the file")


@pytest.mark.parametrize("value", ["slow", 3, None])
def test_other_names_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="'fast', 'balanced' or 'accurate'"):
        validate_config(DistillConfig, {"student": value}, "the file")


def test_without_a_name_arch_and_encoder_decide() -> None:
    config = DistillConfig(arch="lraspp", encoder="mobilenetv2_050")
    assert (config.student, config.arch, config.encoder) == ("", "lraspp", "mobilenetv2_050")
    assert named_students.name_of("lraspp", "mobilenetv2_050") == ""
