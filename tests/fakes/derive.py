"""Derives `trt_api.json` from a listing of TensorRT's bindings: what our code touches, and its
neighbors.

    python -m tests.fakes.derive LISTING.json

The listing holds, for each version, names of classes, members, enum values and the signatures that
pybind11 writes into docstrings. What is kept are facts alone: names, the versions that have them,
argument names, enum integers.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("trt_api.json")
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
)
SIGNATURE = re.compile(r"^\w+\((.*)\) -> (.*)$")


def arguments(signature: str) -> list[str]:
    """The names after `self`, with a `?` where there is a default, and `:type` where it is one that
    can be checked.
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
    found_names = []
    for name, _, kind in [part.partition(":") for part in parts if part.strip()][1:]:
        plain = kind.partition("=")[0].strip().rpartition("::")[2]
        checked = f":{plain}" if plain in (*ENUMS, "int", "str", "bool") else ""
        found_names.append(name.strip() + ("?" if "=" in kind else "") + checked)
    return found_names


def member(facts: dict[str, Any], versions: list[str]) -> dict[str, Any]:  # Any: what json holds
    """`in`: versions, absent for all; `property` or `calls`: argument lists by the version they
    start with.
    """
    found: dict[str, Any] = (
        {} if facts["present"] == "all" else {"in": [versions.index(v) for v in facts["present"]]}
    )
    texts = facts.get("signature", {})
    if any(text == "property" for overloads in texts.values() for text in overloads):
        return {**found, "property": True}
    calls: dict[str, Any] = {}
    for version, overloads in texts.items():
        lists = [arguments(text) for text in overloads if SIGNATURE.match(text)]
        if lists and lists != next(reversed(calls.values()), None):
            calls[str(versions.index(version))] = lists
    return {**found, "calls": calls} if calls else found


def derive(listing: dict[str, Any]) -> dict[str, Any]:  # Any: what json holds
    versions: list[str] = listing["versions"]
    return {
        "about": "names, arguments and enum values of TensorRT's Python bindings; "
        "made by tests/fakes/derive.py",
        "versions": versions,
        "classes": {
            name: {
                item: member(facts, versions)
                for item, facts in listing["classes"][name]["members"].items()
                if not (name == "INetworkDefinition" and item.startswith("add_"))
            }
            for name in CLASSES
        },
        "enums": {
            name: {
                str(versions.index(v)): values
                for v, values in listing["enums"][name]["values_from"].items()
            }
            for name in ENUMS
        },
        "module": {
            name: None if present == "all" else [versions.index(v) for v in present]
            for name, present in listing["module_names"].items()
            if name[0].isupper() or name in ("nptype", "volume", "init_libnvinfer_plugins")
        },
    }


if __name__ == "__main__":
    facts = derive(json.loads(Path(sys.argv[1]).read_text()))
    TARGET.write_text(json.dumps(facts, separators=(",", ":"), sort_keys=True) + "\n")
