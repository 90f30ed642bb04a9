"""`edgeseg label --list`: the queue without a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeseg.adapt.round_state import RoundState, save_round
from edgeseg.atomic_files import write_json
from edgeseg.cli.app import app
from edgeseg.site import Site
from tests.helpers.sites import make_site


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = make_site(tmp_path)
    monkeypatch.chdir(site.root)
    return site


def run(*words: str, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result.stdout, re.sub(r"\s+", " ", result.stderr)


@pytest.mark.usefixtures("here")
def test_the_queue_is_printed_with_its_reasons_and_what_lacks() -> None:
    table, said = run("label", "--list", "--limit", "2")
    assert "near copy of another frame" in table and "frames wait" not in table
    assert "5 frames wait in footage" in said and "gate has 0 frames" in said
    assert said.rstrip().endswith("next: edgeseg label --queue footage")


def test_as_json_it_names_pictures(here: Site) -> None:
    told = json.loads(run("label", "--json", "--limit", "3")[0])
    assert told["queue"] == "footage" and told["waiting"] == 5 and len(told["frames"]) == 3
    for entry in told["frames"]:
        assert Path(entry["image"]).is_file() and entry["reasons"]
    assert told["frames"][0]["worth"] == 1.0


@pytest.mark.usefixtures("here")
def test_what_is_no_queue_is_told() -> None:
    assert "no queue 'fotage'" in run("label", "--list", "--queue", "fotage", code=1)[1]
    assert "leave --list out" in run("label", "--list", "--queue", "labelled", code=1)[1]


def test_status_says_that_a_round_waits_for_a_person(here: Site) -> None:
    steps = {"pull": {"output": {}}, "select": {"output": {"base": {}}}}
    save_round(here, RoundState.model_validate({"number": 1, "started": "now", "steps": steps}))
    assert "waits" not in run("status")[1]
    write_json(here.root / "rounds/0001/review.json", {"frames": ["f4", "f5"]})
    # without adapt.review the round would go on
    assert run("status")[1].rstrip().endswith("next: edgeseg adapt --resume")
    with (here.root / "edgeseg.toml").open("a") as file:
        file.write("[adapt]\nreview = 2\n")
    said = run("status")[1]
    assert "round 0001 waits until 2 more frames were labelled or skipped" in said
    assert said.rstrip().endswith("next: edgeseg label --queue round")
