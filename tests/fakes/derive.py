"""Derives the facts that stand-ins are made of from listings of TensorRT modules.

    python -m tests.fakes.derive rtx_api.json LISTING.json

A listing holds names of classes, members, enum values and the signatures that pybind11 writes into
docstrings, of one version (see record.py) or several. Its versions come after those that the file
has, or take their places. What is kept are facts alone, of what our
code touches and its neighbors: names, argument names and types, enum integers.

A table `{"0": ..., "3": ...}` says what holds from a version on, by its place in `versions`; null
is "not there". A method's entry is its overloads, a property's `{"set": TYPE}`: null where it
cannot be set, and without `set` where the listing does not tell.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CLASSES = (
    "Builder",
    "IBuilderConfig",
    "INetworkDefinition",
    "ITensor",
    "OnnxParser",
    "ParserError",
    "Runtime",
    "ICudaEngine",
    "IExecutionContext",
    "IRuntimeConfig",
    "IRuntimeCache",
    "ITimingCache",
    "IHostMemory",
    "EngineInspector",
    "ILogger",
    "Logger",
    "IOptimizationProfile",
)
ENUMS = (
    "BuilderFlag",
    "NetworkDefinitionCreationFlag",
    "OnnxParserFlag",
    "HardwareCompatibilityLevel",
    "DataType",
    "TensorIOMode",
    "TensorLocation",
    "MemoryPoolType",
    "DeviceType",
    "EngineCapability",
    "ProfilingVerbosity",
    "LayerInformationFormat",
    "TensorFormat",
    "ErrorCode",
    "ExecutionContextAllocationStrategy",
    "ComputeCapability",
    "CudaGraphStrategy",
    "EngineValidity",
    "EngineInvalidityDiagnostics",
)
TYPES = {"SupportsInt": "int", "buffer": "Buffer", "IParserError": "ParserError"}
INTERFACE = re.compile(r"^I[A-Z]\w+$")  # a class, whether or not it is recorded
SIGNATURE = re.compile(r"^\w+\((.*)\) -> .*$")
Facts = dict[str, Any]  # Any: what json holds


def plain_type(text: str) -> str:
    """The name of a type that can be checked, or nothing."""
    name = re.split(r"::|\.", text.strip())[-1]
    name = TYPES.get(name, name)
    known = name in (*CLASSES, *ENUMS, "int", "str", "bool", "Buffer") or INTERFACE.match(name)
    return name if known else ""


def arguments(signature: str) -> list[str]:
    """The arguments after `self`: a `?` where there is a default, `?None` where that is None, and
    `:type` where it is one that can be checked.
    """
    found = SIGNATURE.match(signature)
    if found is None:
        return []
    depth, parts, current = 0, [], ""
    for letter in found[1]:
        depth += (letter in "[(<") - (letter in "])>")
        if letter == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += letter
    parts.append(current)
    specifications = []
    for name, _, rest in [part.partition(":") for part in parts if part.strip()][1:]:
        kind, _, default = rest.partition("=")
        mark = ("?None" if default.strip() == "None" else "?") if default else ""
        checked = plain_type(kind)
        specifications.append(f"{name.strip()}{mark}" + (f":{checked}" if checked else ""))
    return specifications


def entry(lines: list[str]) -> Any:  # Any: what json holds
    """What is kept of a member: its overloads, or `{"set": TYPE}` of a property."""
    if "property" not in lines:
        return [arguments(line) for line in lines if SIGNATURE.match(line)]
    functions = [line for line in lines if line.startswith(("get(", "set("))]
    if not functions:
        return {"property": True}
    setters = [arguments(line) for line in functions if line.startswith("set(")]
    return {"property": True, "set": setters[0][0].partition(":")[2] if setters else None}


def starting(table: Facts, index: int) -> Any:  # Any: what json holds
    """What holds at the version with that index."""
    fitting = [int(since) for since in table if int(since) <= index]
    return table[str(max(fitting))] if fitting else None


def has(present: Any, version: str) -> bool:  # Any: what json holds
    return present == "all" or version in present


def latest(table: Facts, versions: list[str], version: str) -> Any:  # Any: what json holds
    """What holds at `version` in a table of a listing, which says from which version on."""
    known = [name for name in versions[: versions.index(version) + 1] if name in table]
    return table[known[-1]] if known else []


def versions_of(listing: Facts) -> Iterator[tuple[str, Facts]]:
    """Yield each version of a listing with what is kept of it."""
    versions: list[str] = listing["versions"]
    for version in versions:
        yield (
            version,
            {
                "classes": {
                    name: {
                        item: entry(latest(facts.get("signature", {}), versions, version))
                        for item, facts in listing["classes"][name]["members"].items()
                        if has(facts["present"], version)
                        and not (name == "INetworkDefinition" and item.startswith("add_"))
                    }
                    for name in CLASSES
                    if name in listing["classes"]
                    and has(listing["classes"][name]["present"], version)
                },
                "enums": {
                    name: values
                    for name in ENUMS
                    if name in listing["enums"] and has(listing["enums"][name]["present"], version)
                    for values in [latest(listing["enums"][name]["values_from"], versions, version)]
                },
                "names": {
                    name: True
                    for name, present in listing["module_names"].items()
                    if has(present, version)
                    and (
                        name[0].isupper() or name in ("nptype", "volume", "init_libnvinfer_plugins")
                    )
                },
            },
        )


def table_of(values: list[Any]) -> Facts:  # Any: what json holds
    """What each version has, as a table that tells changes alone."""
    table: Facts = {}
    for index, value in enumerate(values):
        if value != (starting(table, index) if table else None):
            table[str(index)] = value
    return table


def recorded_versions(recorded: Facts) -> Iterator[tuple[str, Facts]]:
    """Yield each version of what `derive` returned, as `versions_of` does."""

    def now(tables: Facts, index: int) -> Facts:
        found = {name: starting(table, index) for name, table in tables.items()}
        return {name: value for name, value in found.items() if value is not None}

    for index, version in enumerate(recorded["versions"]):
        names = now(recorded["names"], index)
        classes = {kind: now(tables, index) for kind, tables in recorded["classes"].items()}
        yield (
            version,
            {
                "classes": {kind: members for kind, members in classes.items() if kind in names},
                "enums": now(recorded["enums"], index),
                "names": names,
            },
        )


def derive(versions: dict[str, Facts]) -> Facts:
    """The facts of some versions, oldest first, each as `versions_of` yields it."""
    several = list(versions.values())

    def tables(*path: str) -> Facts:
        parts = []
        for facts in several:
            for name in path:
                facts = facts.get(name, {})
            parts.append(facts)
        return {
            name: table_of([part.get(name) for part in parts])
            for name in sorted({name for part in parts for name in part})
        }

    kinds = sorted({kind for facts in several for kind in facts["classes"]})
    return {
        "about": "names, arguments and enum values of TensorRT's Python bindings; "
        "made by tests/fakes/derive.py",
        "versions": list(versions),
        "classes": {kind: tables("classes", kind) for kind in kinds},
        "enums": tables("enums"),
        "names": tables("names"),
    }


def written(facts: Any) -> str:  # Any: what json holds
    """JSON with one table to a line."""
    if not isinstance(facts, dict) or all(name.isdigit() for name in facts):
        return json.dumps(facts, sort_keys=True)
    lines = [f"{json.dumps(name)}: {written(value)}" for name, value in facts.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


if __name__ == "__main__":
    target = Path(__file__).with_name(sys.argv[1])
    known = dict(recorded_versions(json.loads(target.read_text()))) if target.exists() else {}
    given = dict(versions_of(json.loads(Path(sys.argv[2]).read_text())))
    target.write_text(written(derive(known | given)) + "\n")
