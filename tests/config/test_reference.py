"""Every key has one text, which the template, the help and the documentation repeat."""

from __future__ import annotations

import re

import pytest

from edgeseg.config.reference import Setting, fill_in_meanings, tables, toml_value

SETTINGS = {setting.path: setting for table in tables() for setting in table.settings}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_every_meaning_is_whole_sentences(setting: Setting) -> None:
    assert re.fullmatch(r"[A-Z].{10,}\.", setting.meaning, re.DOTALL)
    assert not re.search(r"[\[\]{}|]|\.md", setting.meaning), "markup of rich, Markdown or ours"
    assert "  " not in setting.meaning


def test_every_table_has_a_meaning() -> None:
    assert [table.path for table in tables()] == [
        "data",
        "train",
        "train.u2pl",
        "train.ael",
        "train.fpl",
        "distill",
        "export",
        "infer",
        "engine",
        "log",
        "adapt",
    ]
    assert all(re.fullmatch(r"[A-Z].{10,}\.", table.meaning) for table in tables())


def test_keys_of_both_trainings_mean_the_same() -> None:
    for path, setting in SETTINGS.items():
        section, _, key = path.partition(".")
        if section == "distill" and f"train.{key}" in SETTINGS:
            other = SETTINGS[f"train.{key}"]
            assert (other.meaning, other.values, other.unit) == (
                setting.meaning,
                setting.values,
                setting.unit,
            )


@pytest.mark.parametrize(
    ("path", "values", "default", "unit"),
    [
        ("train.steps", "integer, at least 1", 4000, "optimizer steps"),
        ("distill.steps", "integer, at least 1", 3000, "optimizer steps"),
        ("train.imgsz", "two integers", (384, 512), "pixels"),
        ("export.imgsz", "two integers", None, "pixels"),
        ("train.scale", "two numbers", (0.5, 2.0), ""),
        ("train.confidence", "number, at least 0, below 1", None, ""),
        ("train.teacher", '"auto", "ema" or "self"', "auto", ""),
        ("train.plugins", "list of texts", (), ""),
        ("infer.threads", "integer, at least 0", 0, "threads"),
        ("engine.workspace_mb", "integer, at least 16, at most 65_536", 512, "MB"),
        ("export.int8", "true or false", False, ""),
    ],
)
def test_values_are_told_in_words(path: str, values: str, default: object, unit: str) -> None:
    setting = SETTINGS[path]
    assert (setting.values, setting.default, setting.unit) == (values, default, unit)


def test_a_reference_in_a_help_becomes_the_text_of_its_key() -> None:
    text = fill_in_meanings("{train.steps} As many for {train.teacher}")
    assert text == (
        f"{SETTINGS['train.steps'].meaning} Unit: optimizer steps. As many for "
        f'{SETTINGS["train.teacher"].meaning} One of "auto", "ema" or "self".'
    )
    assert fill_in_meanings("plain {text}") == "plain {text}"
    with pytest.raises(KeyError):
        fill_in_meanings("{train.nonsense}")


def test_values_are_written_as_toml() -> None:
    assert toml_value((384, 512)) == "[384, 512]"
    assert toml_value('a "b"') == "'a \"b\"'" or toml_value('a "b"') == '"a \\"b\\""'
    assert toml_value(True) == "true"
