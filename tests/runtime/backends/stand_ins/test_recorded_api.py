"""The recorded API of TensorRT for RTX is that of the module that is installed."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.derive import derive, recorded_versions, starting, versions_of
from tests.fakes.real_modules import RTX, needed, run_tool
from tests.fakes.recorded_api import FAMILIES, RTX_VERSIONS, VERSIONS, RecordedApi, lines_of


def difference(version: str, found: list[str]) -> str:
    """What a module has (+) and lacks (-) against the record of a version, a fact to a line."""
    return "\n".join(
        difflib.unified_diff(
            RecordedApi(version).lines(), found, "recorded", "found", n=0, lineterm=""
        )
    )


def test_the_recorded_api_is_that_of_the_installed_module(tmp_path: Path) -> None:
    needed(RTX)
    ((version, facts),) = versions_of(run_tool("record", tmp_path, RTX))
    if version not in RTX_VERSIONS:
        pytest.skip(
            f"{RTX} {version} is not recorded ({', '.join(RTX_VERSIONS)} are), so add its listing "
            "to rtx_api.json with tests/fakes/record.py and derive.py; against the newest:\n"
            + difference(RTX_VERSIONS[-1], lines_of(facts))
        )
    found = difference(version, lines_of(facts))
    assert not found, f"the module that is installed differs from its record:\n{found}"
    assert len(lines_of(facts)) > 500


def test_the_recorder_writes_facts_and_none_of_nvidias_words(tmp_path: Path) -> None:
    needed(RTX)
    listing = run_tool("record", tmp_path, RTX)
    texts = [
        text
        for kind in listing["classes"].values()
        for facts in kind["members"].values()
        for lines in facts["signature"].values()
        for text in lines
    ]
    assert len(texts) > 1000
    assert [text for text in texts if text != "property" and ") -> " not in text] == []


def listing(version: str, **members: list[str]) -> dict[str, Any]:  # Any: what json holds
    """A listing of one version with one class."""
    return {
        "versions": [version],
        "classes": {
            "Builder": {
                "present": "all",
                "members": {
                    name: {"present": "all", "signature": {version: lines}}
                    for name, lines in members.items()
                },
            }
        },
        "enums": {
            "DeviceType": {"present": "all", "values_from": {version: {"GPU": len(members)}}}
        },
        "module_names": {"Builder": "all", "DeviceType": "all", "a_function": "all"},
    }


def test_what_changes_from_version_to_version_is_kept() -> None:
    old = listing(
        "1.0",
        create=["create(self: Builder, flags: int = 0, path: str = None) -> INetworkDefinition"],
        gone=["gone(self: Builder) -> None"],
    )
    new = listing(
        "2.0",
        create=[
            "create(self: Builder, flags: typing.SupportsInt) -> INetworkDefinition",
            "create(self: Builder, plan: typing_extensions.Buffer, kind: x.y.DeviceType) -> None",
        ],
        level=["property", "get(arg0: Builder) -> int", "set(arg0: Builder, arg1: int) -> None"],
        size=["property", "get(arg0: Builder) -> int"],
    )
    versions = dict([*versions_of(old), *versions_of(new)])
    facts = derive(versions)
    assert dict(recorded_versions(facts)) == versions
    assert facts["versions"] == ["1.0", "2.0"]
    assert facts["classes"]["Builder"] == {
        "create": {
            "0": [["flags?:int", "path?None:str"]],
            "1": [["flags:int"], ["plan:Buffer", "kind:DeviceType"]],
        },
        "gone": {"0": [[]], "1": None},
        "level": {"1": {"property": True, "set": "int"}},
        "size": {"1": {"property": True, "set": None}},
    }
    assert facts["enums"] == {"DeviceType": {"0": {"GPU": 2}, "1": {"GPU": 3}}}
    assert facts["names"] == {"Builder": {"0": True}, "DeviceType": {"0": True}}
    assert starting(facts["classes"]["Builder"]["level"], 0) is None


def test_a_difference_reads_as_one(tmp_path: Path) -> None:
    found = RecordedApi(VERSIONS[-1]).lines()
    changed = [line for line in found if not line.startswith("Runtime.DLA_core")]
    assert difference(VERSIONS[-1], found) == ""
    assert difference(VERSIONS[-1], changed).endswith("-Runtime.DLA_core: a property")


@pytest.mark.parametrize("module", sorted(FAMILIES))
def test_the_data_files_are_small(module: str) -> None:
    assert len(json.dumps(FAMILIES[module])) < 40_000
