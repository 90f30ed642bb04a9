"""Every key of `edgeseg.toml` with its meaning, read from the models: for the template of a new
site, the help of the command line and docs/configuration.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import tomli_w
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edgeseg.config.schema import SiteConfig
from edgeseg.config.section import Unit

LIMITS = {
    annotated_types.Ge: ("ge", "at least"),
    annotated_types.Gt: ("gt", "above"),
    annotated_types.Le: ("le", "at most"),
    annotated_types.Lt: ("lt", "below"),
}
NUMBERS = {int: "integer", float: "number"}
REFERENCE = re.compile(r"\{([a-z0-9_]+(?:\.[a-z0-9_]+)+)\}")


@dataclass(frozen=True)
class Setting:
    """One key of `edgeseg.toml`.

    Attributes:
        path: Its dotted name, such as "train.u2pl.alpha".
        values: Its type, limits or choices in words.
        default: The value of a new site; None where the key is unset.
        unit: Of numbers, in words; empty where there is none.
        meaning: Its description, whole sentences.
    """

    path: str
    values: str
    default: Any  # values of every kind
    unit: str
    meaning: str

    @property
    def key(self) -> str:
        """The name of the key within its table."""
        return self.path.rpartition(".")[2]

    @property
    def choices(self) -> str:
        """The values to choose from, such as '"ema" or "self"'; empty for free values."""
        return self.values if self.values.startswith('"') else ""

    @property
    def help(self) -> str:
        """The meaning with the unit or the choices, for the help of a command."""
        if self.choices:
            return f"{self.meaning} One of {self.choices}."
        if (
            self.unit and self.unit not in f"{self.meaning} {self.meaning.lower()}"
        ):  # "frames" says it already
            return f"{self.meaning} Unit: {self.unit}."
        return self.meaning


@dataclass(frozen=True)
class Table:
    """One table of `edgeseg.toml`.

    Attributes:
        path: Its dotted name, such as "train.u2pl".
        meaning: Its description.
        settings: Its keys in the order of the file.
    """

    path: str
    meaning: str
    settings: tuple[Setting, ...]


@cache
def tables() -> tuple[Table, ...]:
    """Return all tables of `edgeseg.toml` in the order of the file."""
    return tuple(
        table
        for key, field in SiteConfig.model_fields.items()
        if isinstance(field.default, BaseModel)
        for table in _tables(key, field)
    )


def _tables(path: str, field: FieldInfo) -> Iterator[Table]:
    """Yield the table at `path`, whose default is a model, and then the tables inside it."""
    section = field.default
    settings: list[Setting] = []
    nested: list[Table] = []
    for key, inner in type(section).model_fields.items():
        if isinstance(inner.default, BaseModel):
            nested += _tables(f"{path}.{key}", inner)
        else:
            settings.append(_setting(f"{path}.{key}", inner))
    yield Table(path, field.description or "", tuple(settings))
    yield from nested


def _setting(path: str, field: FieldInfo) -> Setting:
    metadata = list(field.metadata)
    annotation = field.annotation
    if get_origin(annotation) in (Union, UnionType):  # a type or None: unset
        annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
    if get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        metadata += inner
    units = [item.name for item in metadata if isinstance(item, Unit)]
    meaning = field.description or ""
    return Setting(path, _values(annotation, metadata), field.default, "".join(units), meaning)


def _values(annotation: Any, metadata: list[Any]) -> str:  # Any: types and their annotations
    """Describe a type in words, such as "number, above 0, below 1" or '"ema" or "self"'."""
    if get_origin(annotation) is Literal:
        *most, last = (toml_value(choice) for choice in get_args(annotation))
        return f"{', '.join(most)} or {last}"
    if annotation is bool:
        return "true or false"
    if annotation is str:
        return "text"
    if get_origin(annotation) is tuple:
        first, second = get_args(annotation)
        return "list of texts" if second is Ellipsis else f"two {NUMBERS[first]}s"
    limits = [
        f"{words} {_number(getattr(item, name))}"
        for kind, (name, words) in LIMITS.items()
        for item in metadata
        if isinstance(item, kind)
    ]
    return ", ".join([NUMBERS[annotation], *limits])


def _number(value: float) -> str:
    return f"{value:,}".replace(",", "_") if isinstance(value, int) else f"{value:g}"


def toml_value(value: object) -> str:
    """Write `value` as one line of TOML, such as "[384, 512]"."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return tomli_w.dumps({"x": value}).strip().removeprefix("x = ")


def fill_in_meanings(text: str) -> str:
    """Replace each "{train.steps}" in `text` by the help of that key.

    Raises:
        KeyError: There is no such key.
    """
    help_of = {setting.path: setting.help for table in tables() for setting in table.settings}
    return REFERENCE.sub(lambda match: help_of[match[1]], text)
