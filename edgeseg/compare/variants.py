"""Methods with settings of their own, such as "suponly[class_balance=0,ema=0]": further rows of a
comparison beside the methods as the site has them.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeseg.compare.results import SUPERVISED_ONLY
from edgeseg.config import ALIASES, METHOD_NAMES, TrainConfig, parse_setting, validate_config
from edgeseg.errors import ConfigError
from edgeseg.json_text import to_json

# Keys that all runs of a comparison share, and why.
COMMON_KEYS = {
    "method": "the method stands before the bracket",
    "seed": "every row has the same seeds, see --seeds",
    "steps": "methods are compared at one budget of steps",
    "imgsz": "all predictions are shown side by side at one size",
    "device": "times are compared on one device",
    "devices": "each run has one device",
    "nodes": "each run has one machine",
}
FILE_NAME_LENGTH = 120  # characters of a variant in the name of a folder
_BARE_TEXT = re.compile(r"[A-Za-z_][\w.+-]*")  # is no TOML, so it is read as text without quotes


@dataclass(frozen=True)
class MethodVariant:
    """A method, as the comparison has it or with settings of its own: a row of the table.

    Attributes:
        method: The name of the method.
        settings: (key, value) of the settings of its own, by key, such as ("ael.classes", 3).
    """

    method: str
    settings: tuple[tuple[str, Any], ...] = ()  # Any: TOML values

    @property
    def name(self) -> str:
        """It as one writes it; variants with the same settings have the same name."""
        if not self.settings:
            return self.method
        pairs = (f"{key}={_value_text(value)}" for key, value in self.settings)
        return f"{self.method}[{','.join(pairs)}]"

    def table(self, common: Mapping[str, Any]) -> dict[str, Any]:  # Any: TOML values
        """Return the table [train] of its runs: its own settings laid over the common ones."""
        table: dict[str, Any] = copy.deepcopy(dict(common)) | {"method": self.method}
        for key, value in self.settings:
            *parents, last = key.split(".")
            inner: dict[str, Any] = table
            for parent in parents:
                inner = inner[parent]
            inner[last] = value
        return table


def split_variants(text: str) -> list[str]:
    """Return what stands between the commas that no bracket and no quotes enclose.

    For example, "u2pl, suponly[ema=0,class_balance=0]" has two parts.
    """
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        if not quote:
            depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def parse_variant(text: str, config: TrainConfig) -> MethodVariant:
    """Read a variant such as "cutmix_mt[warmup=0.05,scale=[0.75,2.0]]".

    Args:
        text: A method or an alias of one, and maybe settings in brackets, with commas between.
        config: The common settings, together with which those in brackets are checked.

    Raises:
        ConfigError: The method is unknown, it is not written like this, or a setting cannot be.
    """
    method, bracket, rest = text.strip().partition("[")
    method = method.strip()
    method = ALIASES.get(method, method)
    if method not in METHOD_NAMES:
        raise ConfigError(
            f"there is no method {method or repr(text)}; choose among {', '.join(METHOD_NAMES)}"
        )
    if not bracket:
        return MethodVariant(method)
    if not rest.endswith("]") or not split_variants(rest[:-1]):
        raise ConfigError(
            f"{text} is no method with settings; write it like 'suponly[ema=0,class_balance=0]', "
            "in quotes"
        )
    settings: dict[str, Any] = {}  # Any: TOML values
    for part in split_variants(rest[:-1]):
        key, equals, raw = part.partition("=")
        key = key.strip().removeprefix("train.")
        if not equals or not key or key in settings:
            problem = "has the setting twice" if key in settings else "is not KEY=VALUE"
            raise ConfigError(
                f"{part!r} in {text} {problem}; give each key of [train] once, such as ema=0"
            )
        if key in COMMON_KEYS:
            raise ConfigError(
                f"{text} cannot have its own train.{key}: {COMMON_KEYS[key]}; leave it out of the "
                "brackets, or make another comparison"
            )
        settings[key] = parse_setting(raw.strip())
    return _checked_variant(MethodVariant(method, tuple(sorted(settings.items()))), config, text)


def _checked_variant(variant: MethodVariant, config: TrainConfig, text: str) -> MethodVariant:
    """Return the variant with its values as the configuration understands them: 0.0 for 0.

    Raises:
        ConfigError: There is no such key, or it cannot have this value.
    """
    common = config.model_dump(mode="json")
    for key, _ in variant.settings:
        *parents, _last = key.split(".")
        inner: Any = common  # Any: TOML values
        for parent in parents:
            inner = inner.get(parent) if isinstance(inner, dict) else None
        if not isinstance(inner, dict):
            raise ConfigError(
                f"{text}: train has no table {'.'.join(parents)}; see edgeseg.toml or "
                "docs/configuration.md for the keys"
            )
    checked = validate_config(TrainConfig, variant.table(common), text).model_dump(mode="json")
    settings = tuple((key, _look_up(checked, key)) for key, _ in variant.settings)
    tables = [key for key, value in settings if isinstance(value, dict)]
    if tables:
        raise ConfigError(
            f"{text}: train.{tables[0]} is a table; give its keys one by one, such as "
            f"{tables[0]}.{next(iter(checked[tables[0]]))}=..."
        )
    return MethodVariant(variant.method, settings)


def base_method(name: str) -> str:
    """Return the method of a variant: of "suponly[ema=0]" it is "suponly"."""
    return name.partition("[")[0]


def is_variant(name: str) -> bool:
    """Whether a method has settings of its own."""
    return name != base_method(name)


def is_floor_variant(name: str) -> bool:
    """Whether it is suponly with settings of its own: another floor, no method to take."""
    return is_variant(name) and base_method(name) == SUPERVISED_ONLY


def variant_folder_name(name: str) -> str:
    """Return the name as a part of a file name that no shell takes apart.

    For example, "suponly[class_balance=0,ema=0]" is "suponly+class_balance=0+ema=0". Where that
    leaves something out, a digest keeps it apart from others.
    """
    method, bracket, settings = name.partition("[")
    if not bracket:
        return name
    plain = f"{method}+{settings[:-1].replace(',', '+')}"
    safe = re.sub(r"[^\w.+=-]+", "_", plain, flags=re.ASCII)
    if safe == plain and len(safe) <= FILE_NAME_LENGTH:
        return safe
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{safe[:FILE_NAME_LENGTH]}+{digest}"


def _look_up(table: Mapping[str, Any], key: str) -> Any:  # Any: TOML values
    value: Any = table
    for part in key.split("."):
        value = value[part]
    return value


def _value_text(value: Any) -> str:  # Any: TOML values
    """Return a value as one writes it: 0 for 0.0, and text without quotes where none are needed."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_quoted_text, value))}]"
    if isinstance(value, str) and _BARE_TEXT.fullmatch(value) and value not in _TOML_WORDS:
        return value
    return _quoted_text(value)


_TOML_WORDS = ("true", "false", "inf", "nan")


def _quoted_text(value: Any) -> str:  # Any: TOML values
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return to_json(value)
