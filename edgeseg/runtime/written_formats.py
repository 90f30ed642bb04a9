"""JSON schemas (2020-12) of what `edgeseg infer` writes, made from the classes that write it.

`edgeseg schema` prints them; docs/formats/schemas holds copies. The meaning of a key is what its
class's docstring says under "Attributes".
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from pydantic import TypeAdapter

from edgeseg.bundle.manifest import LATER_KEYS, FileEntry, Manifest, ManifestDepth
from edgeseg.config import ClassSpec
from edgeseg.errors import ConfigError
from edgeseg.runtime.framelog.record_header import RecordHeader, RecordPart
from edgeseg.runtime.inference_metrics import InferenceMetrics, StageTime
from edgeseg.runtime.outputs.json_lines import FrameLine

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]  # Any: whatever a JSON schema holds


@dataclass(frozen=True)
class WrittenFormat:
    """One kind of JSON that `edgeseg infer` writes or reads.

    Attributes:
        title: What it is.
        kind: The class of the whole.
        parts: The classes inside of it.
        optional: Keys that are left out where they say nothing.
    """

    title: str
    kind: type
    parts: tuple[type, ...] = ()
    optional: tuple[str, ...] = ()


WRITTEN_FORMATS: Final[Mapping[str, WrittenFormat]] = MappingProxyType(
    {
        "frame-line": WrittenFormat("A line of `edgeseg infer --json`", FrameLine),
        "infer-metrics": WrittenFormat(
            "metrics.json of `edgeseg infer`", InferenceMetrics, (StageTime,)
        ),
        "record-header": WrittenFormat(
            "The header of a record of a frame log", RecordHeader, (RecordPart,)
        ),
        "manifest": WrittenFormat(
            "manifest.json of a bundle",
            Manifest,
            (FileEntry, ManifestDepth, ClassSpec),
            optional=LATER_KEYS,
        ),
    }
)


def json_schema(name: str) -> Schema:
    """Return the JSON schema of one of `WRITTEN_FORMATS`.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in WRITTEN_FORMATS:
        raise ConfigError(
            f"there is no schema {name!r}; `edgeseg schema` takes {', '.join(WRITTEN_FORMATS)}"
        )
    written = WRITTEN_FORMATS[name]
    schema = TypeAdapter(written.kind).json_schema(by_alias=True, mode="serialization")
    tables = {kind.__name__: kind for kind in written.parts}
    for inner, table in schema.get("$defs", {}).items():
        _describe(table, tables[inner])
    _describe(schema, written.kind, written.optional)
    return {"$schema": DIALECT} | schema | {"title": written.title}


def _describe(table: Schema, kind: type, optional: Container[str] = ()) -> None:
    """Give the schema of a class the words of its docstring, and say which keys are always there.

    Titles and defaults are left out: they are made of names, and what is written needs none.
    """
    table.pop("title", None)
    words, _, _ = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")
    table["description"] = " ".join(words.split())
    meanings = attribute_meanings(kind)
    for key, of_key in table["properties"].items():
        for made in ("title", "default"):
            of_key.pop(made, None)
        if key in meanings:
            of_key["description"] = meanings[key]
    table["required"] = [key for key in table["properties"] if key not in optional]


@cache
def attribute_meanings(kind: type) -> Mapping[str, str]:
    """Return what the docstrings of a class and its bases say of each key, by its name in JSON."""
    meanings: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        _, _, listed = (inspect.cleandoc(base.__doc__ or "")).partition("\nAttributes:\n")
        for name, meaning in re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", listed, re.MULTILINE):
            field = getattr(kind, "model_fields", {}).get(name)
            meanings[(field and field.alias) or name] = re.sub(
                r"\bNone\b", "null", " ".join(meaning.split())
            )
    return MappingProxyType(meanings)
