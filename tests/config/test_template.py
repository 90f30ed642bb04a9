"""The `edgeseg.toml` of a new site tells every key with its meaning and its true default."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from edgeseg.config import SiteConfig, load_config
from edgeseg.config.reference import tables
from edgeseg.config.template import create_site, default_colors

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def defaults_of(section: BaseModel, path: str) -> dict[str, Any]:  # Any: values of every kind
    """Every key below `section` with its value, by dotted name."""
    defaults: dict[str, Any] = {}
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            defaults |= defaults_of(value, f"{path}{key}.")
        else:
            defaults[f"{path}{key}"] = value
    return defaults


def test_every_commented_default_is_the_default(tmp_path: Path) -> None:
    path = create_site(tmp_path, [f"class {number}" for number in range(64)])
    text = path.read_text()
    config = load_config(path)
    expected = {
        key: value
        for key, value in defaults_of(config, "").items()
        if key not in ("name", "classes")
    }
    unset = set(re.findall(r"^#(\w+) is unset$", text, re.M))
    assert unset == {key.rpartition(".")[2] for key, value in expected.items() if value is None}
    uncommented = re.sub(r"^#(?=\w+ = )", "", text, flags=re.M)
    written = tomllib.loads(uncommented)
    for key, value in expected.items():
        *sections, name = key.split(".")
        table = written
        for section in sections:
            table = table[section]
        shown = table.get(name)
        assert (list(value) if isinstance(value, tuple) else value) == shown, key
    assert SiteConfig.model_validate(written) == config
    assert {setting.path for table in tables() for setting in table.settings} == set(expected)


def test_every_key_stands_below_its_meaning(tmp_path: Path) -> None:
    text = create_site(tmp_path).read_text()
    for table in tables():
        for setting in table.settings:
            comment = textwrap.fill(
                setting.meaning,
                100,
                initial_indent="# ",
                subsequent_indent="# ",
                break_on_hyphens=False,
            )
            choices = r"(# One of .*\n)?"  # where they are too long to stand behind the default
            found = rf"^{re.escape(comment)}\n{choices}#{setting.key} "
            assert re.search(found, text, re.M), setting.path


def test_no_line_of_the_template_is_wide(tmp_path: Path) -> None:
    text = create_site(tmp_path).read_text()
    assert max(map(len, text.splitlines())) <= 100


def test_default_colors_are_distinct() -> None:
    colors = np.array(
        [[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in default_colors(64)]
    )
    apart = np.abs(colors[:, None] - colors[None]).sum(-1) + 999 * np.eye(64)
    assert apart.min() >= 36 and apart[:12, :12].min() >= 80
