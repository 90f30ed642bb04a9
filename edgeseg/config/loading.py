"""Reading and writing of configurations: TOML files, overrides, and every mistake told at once."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import BaseModel, ValidationError

from edgeseg.config.schema import SiteConfig
from edgeseg.config.section import Section
from edgeseg.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Model = TypeVar("Model", bound=BaseModel)
Saved = TypeVar("Saved", bound=Section)


def load_config(path: Path, overrides: list[str] | None = None) -> SiteConfig:
    """Read `path` and lay `overrides` ("train.steps=2000") over it.

    Raises:
        ConfigError: The file is missing, is no TOML, or holds keys or values that cannot be.
    """
    return apply_overrides(SiteConfig, _read_table(path), overrides, str(path))


def load_saved_config(model: type[Saved], path: Path, overrides: list[str] | None = None) -> Saved:
    """Read a TOML file that holds all of `model`, such as the `config.toml` beside a run.

    Keys that came after it was saved have the value that stands for what was done before.

    Raises:
        ConfigError: The file is missing, is no TOML, or holds keys or values that cannot be.
    """
    table = _read_table(path)
    model.complete_saved(table)
    return apply_overrides(model, table, overrides, str(path))


def _read_table(path: Path) -> dict[str, Any]:  # Any: TOML values
    """Read a TOML file.

    Raises:
        ConfigError: It is missing or no TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise ConfigError(
            f"{path} does not exist; run `edgeseg init {path.parent}` to make one"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read as TOML: {error}; correct it or start anew with `edgeseg init`"
        ) from None


def saved_differences(config: Section, path: Path) -> list[str]:
    """Return the TOML lines in which a configuration and the one saved in a file differ.

    Keys that an older version did not know yet stand for what it did, and those that only say how a
    run is watched are left out.
    """
    watching = {key: getattr(config, key) for key in config.WATCHING}
    try:
        saved = to_toml(load_saved_config(type(config), path).model_copy(update=watching))
    except ConfigError:  # of a version that had other keys
        saved = path.read_text("utf-8")
    return sorted(set(to_toml(config).splitlines()) ^ set(saved.splitlines()))


def apply_overrides(
    model: type[Model], table: dict[str, Any], overrides: list[str] | None, source: str
) -> Model:  # Any: TOML values
    """Lay `overrides` over `table` and build `model`; for a place without an edgeseg.toml as well.

    Raises:
        ConfigError: With all mistakes in one sentence that begins with `source`, or with "the
            command line" when the overrides made them.
    """
    changed = copy.deepcopy(table)
    for text in overrides or []:
        _override(changed, text)
    try:
        return validate_config(model, changed, source)
    except ConfigError:
        if not overrides:
            raise
        validate_config(model, table, source)  # its own mistakes come first
        return validate_config(model, changed, "the command line")


def _override(table: dict[str, Any], text: str) -> None:  # Any: TOML values
    """Write the value of one KEY=VALUE into the nested `table`.

    For example, "train.u2pl.alpha=0.1" sets table["train"]["u2pl"]["alpha"] to 0.1, and
    "train.method=u2pl", whose value is no TOML, sets the text "u2pl".
    """
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r} is not KEY=VALUE; write it like --set train.steps=2000")
    value = parse_setting(raw)
    *parents, last = key.strip().split(".")
    for name in parents:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {text!r}: {name} is no table; see edgeseg.toml for the keys")
    table[last] = value


def parse_setting(raw: str) -> Any:  # Any: TOML values
    """Return the TOML value that `raw` is, or `raw` itself: a bare word needs no quotes."""
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw


def validate_config(
    model: type[Model], values: Any, source: str
) -> Model:  # Any: unvalidated input
    """Build `model` from `values`, naming every mistake by its dotted path.

    Raises:
        ConfigError: With all mistakes in one sentence.
    """
    try:
        config = model.model_validate(values)
        to_toml(config).encode()
    except UnicodeEncodeError as error:
        lines = error.object[: error.end].splitlines()  # the last one is the key's
        raise ConfigError(
            f"{source} has a value that is no UTF-8, {lines[-1]}...; give that file or class "
            "another name"
        ) from None
    except ValidationError as error:
        mistakes = []
        for fault in error.errors():
            path = ".".join(map(str, fault["loc"])) or "file"
            mistakes.append(f"{path}: {fault['msg'].removeprefix('Value error, ')}")
        raise ConfigError(
            f"{source} has {error.error_count()} mistake(s): {'; '.join(mistakes)}; "
            "correct them and run again"
        ) from None
    return config


def to_toml(config: BaseModel) -> str:
    """Return `config` as TOML, complete with every default."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
