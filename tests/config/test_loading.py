"""Configurations are read with overrides, and every mistake is told at once with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.config import (
    SiteConfig,
    TrainConfig,
    apply_overrides,
    load_config,
    load_saved_config,
    saved_differences,
    to_toml,
    validate_config,
)
from edgeseg.config.template import create_site
from edgeseg.errors import ConfigError

CLASSES = {"classes": [{"name": name, "color": f"#00000{name}"} for name in ("1", "2")]}


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.steps=7", ("train", "steps"), 7),
        ("train.u2pl.alpha=0.1", ("train", "u2pl", "alpha"), 0.1),
        ("train.method=mt", ("train", "method"), "mean_teacher"),
        ('train.method="st++"', ("train", "method"), "stpp"),
        ("export.imgsz=256", ("export", "imgsz"), (256, 256)),
        ("train.imgsz=[224, 448]", ("train", "imgsz"), (224, 448)),
        ("export.int8=true", ("export", "int8"), True),
        (" train.max_memory = 6GB", ("train", "max_memory"), " 6GB"),
    ],
)
def test_an_override_reaches_its_key(override: str, path: tuple[str, ...], value: object) -> None:
    found: object = apply_overrides(SiteConfig, CLASSES, [override], "here")
    for name in path:
        found = getattr(found, name)
    assert found == value


def test_the_last_override_of_a_key_wins_and_the_table_stays_as_it_is() -> None:
    table = {**CLASSES, "train": {"steps": 5}}
    config = apply_overrides(SiteConfig, table, ["train.steps=6", "train.steps=7"], "here")
    assert config.train.steps == 7 and table["train"] == {"steps": 5}


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.steps", "'train.steps' is not KEY=VALUE"),
        ("=3", "'=3' is not KEY=VALUE"),
        ("name.first=1", "the command line has"),
        ("train.steps.more=1", "the command line has"),
        ("train.nonsense=1", "train.nonsense: Extra inputs"),
        ("train.method=none", "train.method: there is no 'none'; take one of suponly"),
        ("train.imgsz=100", "train.imgsz: height and width must be multiples of 32"),
    ],
)
def test_an_impossible_override_is_told(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_overrides(SiteConfig, {**CLASSES, "train": {}}, [override], "here")
    assert sentence in str(caught.value)


def test_a_key_below_a_value_is_told() -> None:
    with pytest.raises(ConfigError, match="steps is no table"):
        table = {**CLASSES, "train": {"steps": 5}}
        apply_overrides(SiteConfig, table, ["train.steps.more=1"], "here")


def test_mistakes_of_the_file_come_before_those_of_the_command_line(tmp_path: Path) -> None:
    path = create_site(tmp_path)
    path.write_text(path.read_text().replace("#fps = 1.0", "fps = -1"))
    with pytest.raises(ConfigError) as caught:
        load_config(path, ["train.steps=0"])
    assert str(caught.value).startswith(f"{path} has 1 mistake(s): data.fps: ")


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        validate_config(SiteConfig, {**CLASSES, "data": {"fps": 0, "seed": "x"}, "y": 1}, "it")
    message = str(caught.value)
    assert message.startswith("it has 3 mistake(s): ")
    assert all(key in message for key in ("data.fps: ", "data.seed: ", "y: "))


def test_what_was_saved_is_read_again(tmp_path: Path) -> None:
    config = validate_config(TrainConfig, {"steps": 3, "imgsz": 64, "plugins": ["ael"]}, "it")
    (tmp_path / "config.toml").write_text(to_toml(config))
    assert load_saved_config(TrainConfig, tmp_path / "config.toml") == config


@pytest.mark.parametrize("content", [b"name = ", b"\xff", None])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "edgeseg.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="edgeseg init"):
        load_config(path)


def test_a_saved_file_differs_by_what_was_changed_not_by_keys_that_it_did_not_know(
    tmp_path: Path,
) -> None:
    config, path = TrainConfig(steps=50), tmp_path / "config.toml"
    older = [line for line in to_toml(config).splitlines() if "eval_frames" not in line]
    path.write_text("\n".join(older))
    assert saved_differences(config, path) == []
    changed = config.model_copy(update={"steps": 60})
    assert saved_differences(changed, path) == ["steps = 50", "steps = 60"]
    path.write_text("\n".join([*older[:3], 'once_known = "x"', *older[3:]]))
    assert 'once_known = "x"' in saved_differences(config, path)


def test_a_key_that_came_later_means_in_a_saved_file_what_was_done_before(tmp_path: Path) -> None:
    """Nobody's edgeseg.toml: there it has its default."""
    settings = validate_config(SiteConfig, CLASSES, "here")
    for config in (settings, settings.train):
        lines = to_toml(config).splitlines()
        (tmp_path / "config.toml").write_text(
            "\n".join(line for line in lines if not line.startswith("propagation"))
        )
        saved = load_saved_config(type(config), tmp_path / "config.toml")
        train = saved.train if isinstance(saved, SiteConfig) else saved
        assert isinstance(train, TrainConfig) and not train.propagation
    assert settings.train.propagation
    (tmp_path / "config.toml").write_text(to_toml(settings.train))
    saved = load_saved_config(TrainConfig, tmp_path / "config.toml", ["propagation=false"])
    assert not saved.propagation
    assert load_saved_config(TrainConfig, tmp_path / "config.toml").propagation
    (tmp_path / "edgeseg.toml").write_text(to_toml(settings).replace("propagation = true\n", ""))
    assert load_config(tmp_path / "edgeseg.toml").train.propagation
