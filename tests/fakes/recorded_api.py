"""The recorded Python API of one version of TensorRT or of TensorRT for RTX; see derive.py."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from tests.fakes.derive import Facts, recorded_versions

FAMILIES: dict[str, Facts] = {
    module: json.loads(Path(__file__).with_name(name).read_text())
    for module, name in {"tensorrt": "trt_api.json", "tensorrt_rtx": "rtx_api.json"}.items()
}
VERSIONS: list[str] = FAMILIES["tensorrt"]["versions"]
RTX_VERSIONS: list[str] = FAMILIES["tensorrt_rtx"]["versions"]


class RecordedApi:
    """What one version has.

    Attributes:
        module: The name by which it is imported.
        version: Its `__version__`.
        index: The place of the version in its family.
        enums: The members of each enum, with their integers.
        names: What the module itself has.
    """

    def __init__(self, version: str) -> None:
        self.module = next(name for name in FAMILIES if version in FAMILIES[name]["versions"])
        self.version = version
        self.index = FAMILIES[self.module]["versions"].index(version)
        self._facts = _recorded(self.module)[version]
        self.enums: dict[str, dict[str, int]] = self._facts["enums"]
        self.names = set(self._facts["names"])

    def kinds(self) -> list[str]:
        """The names of the classes that are recorded and that this version has."""
        return list(self._facts["classes"])

    def members(self, kind: str) -> Facts:
        """The members of a class, each with its overloads or `{"property": ..., "set": ...}`."""
        found: Facts = self._facts["classes"][kind]
        return found

    def setter(self, kind: str, name: str) -> str | None:
        """The type that a property takes, None if it cannot be set, "" if that is not known.

        TensorRT's own listing does not tell types of properties; those of TensorRT for RTX, made
        of the same sources, stand in for them.
        """
        facts = self.members(kind)[name]
        if "set" not in facts:
            newest = _newest_rtx()
            facts = newest.members(kind).get(name, {}) if kind in newest.kinds() else {}
        found: str | None = facts.get("set", "")
        return found

    def lines(self) -> list[str]:
        """All of it, a fact to a line, so that two versions can be compared as texts are."""
        return lines_of(self._facts)


@functools.cache
def _recorded(module: str) -> dict[str, Facts]:
    return dict(recorded_versions(FAMILIES[module]))


@functools.cache
def _newest_rtx() -> RecordedApi:
    return RecordedApi(RTX_VERSIONS[-1])


def lines_of(facts: Facts) -> list[str]:
    """What `derive.versions_of` yields for a version, a fact to a line."""
    lines = [f"module: {name}" for name in facts["names"]]
    for kind, members in facts["classes"].items():
        lines += [f"{kind}.{name}: {_shown(value)}" for name, value in members.items()]
    for kind, values in facts["enums"].items():
        lines += [f"{kind}.{name} = {value}" for name, value in values.items()]
    return sorted(lines)


def _shown(value: Any) -> str:  # Any: what json holds
    if isinstance(value, list):
        return " or ".join(f"({', '.join(overload)})" for overload in value) or "a value"
    if "set" not in value:
        return "a property"
    return "a property to read" if value["set"] is None else f"a property of {value['set']}"
