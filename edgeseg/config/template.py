"""The `edgeseg.toml` that `edgeseg init` writes: every key with its meaning and its default,
defaults commented out.
"""

from __future__ import annotations

import colorsys
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edgeseg.atomic_files import write_atomic
from edgeseg.config.loading import validate_config
from edgeseg.config.reference import Setting, Table, tables, toml_value
from edgeseg.config.schema import CONFIG_NAME, SiteConfig
from edgeseg.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_CLASSES = ("background", "object")
NO_VALUES: Mapping[str, Any] = MappingProxyType({})  # Any: values of settings
WIDTH = 100
COLORS = (
    "#4d4d4d",
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#f0e442",
    "#0072b2",
    "#d55e00",
    "#cc79a7",
    "#7a3e00",
    "#7fdbca",
    "#b10dc9",
    "#ffffff",
)  # told apart by most eyes; further ones are computed
LEAST_COLOR_DISTANCE = 36  # sum over red, green and blue of the differences, 0 to 765


def default_colors(number: int) -> tuple[str, ...]:
    """Return distinct colors as "#rrggbb", any number up to 64."""
    colors = list(COLORS[:number])
    step = 0
    while len(colors) < number:
        # Turns by the golden angle never meet; brightness and saturation alternate as well.
        step += 1
        hue = step * 0.618034 % 1
        saturation = (0.9, 0.55)[step // 3 % 2]
        brightness = (0.95, 0.7, 0.45)[step % 3]
        parts = colorsys.hsv_to_rgb(hue, saturation, brightness)
        color = "#" + "".join(f"{round(255 * part):02x}" for part in parts)
        if all(_color_distance(color, chosen) >= LEAST_COLOR_DISTANCE for chosen in colors):
            colors.append(color)
    return tuple(colors)


def _color_distance(first: str, second: str) -> int:
    return sum(abs(int(first[i : i + 2], 16) - int(second[i : i + 2], 16)) for i in (1, 3, 5))


def render_template(
    name: str,
    classes: Sequence[str],
    values: Mapping[str, Any] = NO_VALUES,  # Any: values of settings
    colors: Sequence[str] = (),
) -> str:
    """Return a complete `edgeseg.toml`.

    Args:
        name: Name of the site.
        classes: Names of the classes.
        values: Settings other than the defaults, such as `{"train.imgsz": (320, 576)}`.
        colors: Of the classes, as "#rrggbb"; distinct ones if left out.

    Raises:
        ConfigError: The names are empty, too few, too many, or given twice.
    """
    fields = SiteConfig.model_fields
    entries = [
        f"    {{ name = {toml_value(class_name)}, color = {toml_value(color)} }},"
        for class_name, color in zip(classes, colors or default_colors(len(classes)))
    ]
    lines = [
        *_comment(
            "A site of edgeseg. Lines that start with #key hold the default; take the # away to "
            "change it. A key without an explanation means the same as in the table above it. Any "
            "key can be set for one command alone: --set train.steps=2000"
        ),
        "",
        *_comment(fields["name"].description or ""),
        f"name = {toml_value(name)}",
        "",
        *_comment(fields["classes"].description or ""),
        *_comment("Colors are for pictures, and for masks that were painted in them."),
        "classes = [",
        *entries,
        "]",
    ]
    explained: dict[str, str] = {}
    for table in tables():
        lines += _table_lines(table, explained, values)
    text = "\n".join(lines) + "\n"
    validate_config(SiteConfig, tomllib.loads(text), "the new site")
    return text


def _table_lines(
    table: Table, explained: dict[str, str], values: Mapping[str, Any]
) -> list[str]:  # Any: as above
    """Return the lines of one table; `explained` holds the meanings of the keys told before."""
    lines = ["", "", *_comment(table.meaning), f"[{table.path}]"]
    for setting in table.settings:
        setting_lines = _default_lines(setting)
        if setting.path in values:
            setting_lines = [f"{setting.key} = {toml_value(values[setting.path])}"]
        if explained.get(setting.key) != setting.meaning:
            setting_lines = ["", *_comment(setting.meaning), *setting_lines]
        lines += setting_lines
        explained[setting.key] = setting.meaning
    return lines


def _default_lines(setting: Setting) -> list[str]:
    if setting.default is None:
        return [f"#{setting.key} is unset"]
    line = f"#{setting.key} = {toml_value(setting.default)}"
    remark = setting.choices or setting.unit
    remarked = f"{line:<34}  # {remark}" if remark else line
    return [remarked] if len(remarked) <= WIDTH else [*_comment(f"One of {remark}."), line]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )


def create_site(
    folder: Path,
    classes: Sequence[str] = DEFAULT_CLASSES,
    name: str | None = None,
    values: Mapping[str, Any] = NO_VALUES,  # Any: values of settings
    colors: Sequence[str] = (),
) -> Path:
    """Make `folder` a site.

    Args:
        classes: Names of the classes; the ids follow this order.
        name: Name of the site; the folder's without any.
        values: Settings other than the defaults, see `render_template`.
        colors: Of the classes, see `render_template`.

    Returns:
        The path of the new `edgeseg.toml`.

    Raises:
        ConfigError: The folder is a site already, cannot be written, or the classes cannot be.
    """
    path = folder / CONFIG_NAME
    if os.path.lexists(path):
        raise ConfigError(f"{path} exists; edit it, or choose another folder")
    # A folder's name may hold bytes that are no UTF-8, which the configuration may not.
    site_name = name or folder.resolve().name.encode(errors="replace").decode() or "site"
    names = [class_name.strip() for class_name in classes]
    text = render_template(site_name, names, values, colors)
    try:
        write_atomic(path, text.encode())
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror}); choose a folder that you may write to"
        ) from None
    return path
