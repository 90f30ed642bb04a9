"""`edgeseg adapt` at the command line: what it prints, where, and one sentence for whatever a user
can cause.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edgeseg.adapt import round_runner as rounds
from edgeseg.adapt.publish import open_champion
from edgeseg.cli.app import app
from edgeseg.site import Site
from tests.helpers.rounds import BAD, TrainingStandIns, make_champion, make_log, make_site


@pytest.fixture
def stand_ins() -> TrainingStandIns:
    return TrainingStandIns()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_ins: TrainingStandIns) -> Site:
    """A site with a champion and a log, training played by `stand_ins`, and the shell inside it."""
    site = make_site(tmp_path / "site")
    make_champion(site)
    make_log(tmp_path / "log", range(100, 105))
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # nobody cuts the power in these tests
    monkeypatch.setattr(rounds, "real_training_steps", stand_ins.steps)
    monkeypatch.chdir(site.root)
    return site


def adapt(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["adapt", *arguments])


def read(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_round_prints_figures_and_where_to_go_on(site: Site) -> None:
    result = adapt("../log")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "", "figures for people go to stderr"
    for text in (
        "66.7",
        "81.8",
        "+15.15",
        "round 0001 is published",
        "decision.json",
        "Next: edgeseg infer",
    ):
        assert text in result.stderr
    assert open_champion(site).manifest.seq == 2


def test_json_holds_the_verdict_and_the_figures(site: Site) -> None:
    table = read(adapt("../log", "--json"))
    assert (table["round"], table["verdict"]) == (1, "published")
    assert Path(table["bundle"]) == open_champion(site).path
    assert table["figures"]["difference"]["mean"] == pytest.approx(15.1515)
    assert table["figures"]["classes"]["sky"] == pytest.approx([66.6667, 81.8182])


def test_a_rejection_says_why_and_is_no_error(site: Site, stand_ins: TrainingStandIns) -> None:
    stand_ins.challenger = BAD
    result = adapt("../log")
    assert result.exit_code == 0
    assert "rejected, the champion stays" in result.stderr and "IoU lost in sky" in result.stderr
    assert open_champion(site).path.name == "first"


def test_status_tells_the_history(site: Site, stand_ins: TrainingStandIns) -> None:
    adapt("../log")
    make_log(site.root.parent / "more", range(200, 204))
    stand_ins.challenger = BAD
    adapt("../more")
    table = read(adapt("--status", "--json"))
    assert [each["verdict"] for each in table["rounds"]] == ["published", "rejected"]
    assert table["current"] == open_champion(site).path.name == table["rounds"][0]["bundle"]
    assert (table["rounds"][0]["before"], table["rounds"][0]["after"]) == pytest.approx(
        (66.6667, 81.8182)
    )
    assert [each["records"] for each in table["rounds"]] == [5, 4]
    shown = adapt("--status")
    assert "0001" in shown.stdout and "rejected" in shown.stdout and "81.8" in shown.stdout


def test_status_of_a_site_without_rounds(site: Site) -> None:
    assert read(adapt("--status", "--json")) == {"current": "first", "rounds": []}
    assert "0 rounds" in adapt("--status").stderr


def test_rollback_and_what_status_makes_of_it(site: Site) -> None:
    adapt("../log")
    table = read(adapt("--rollback", "--json"))
    assert (table["current"], table["seq"]) == ("first", 1)
    assert open_champion(site).path.name == "first"
    assert read(adapt("--status", "--json"))["rounds"][0]["verdict"] == "rolled back"
    refused = adapt("--rollback")
    assert refused.exit_code == 1 and "first is the first bundle of its line" in refused.stderr


def test_a_round_that_was_cut_off_is_resumed_or_given_up(
    site: Site, stand_ins: TrainingStandIns
) -> None:
    def fail(step: str) -> None:
        if step == "distill":
            raise KeyboardInterrupt

    stand_ins.before = fail
    assert adapt("../log").exit_code == 130
    assert read(adapt("--status", "--json"))["rounds"][0]["step"] == "distill"
    assert "--resume" in adapt("--status").stderr
    assert read(adapt("--abandon", "--json"))["verdict"] == "abandoned"
    assert adapt("../log").exit_code == 130
    stand_ins.before = lambda step: None
    table = read(adapt("--resume", "--json"))
    assert (table["round"], table["verdict"]) == (2, "published")


def test_overrides_reach_the_round(site: Site, stand_ins: TrainingStandIns) -> None:
    assert adapt("../log", "--set", "adapt.train_steps=7", "--set", "train.seed=3").exit_code == 0
    assert dict(stand_ins.calls)["train"]["steps"] == 7


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["../nowhere"], "log folder ../nowhere does not exist"),
        ([str(Path(__file__))], "is a file"),
        (["."], "no frame log"),
        ([], "there are 0 new records but a round needs 3"),
        (["--resume"], "no round is open"),
        (["--abandon"], "no round is open"),
        (["--rollback"], "nothing to go back to"),
        (["--resume", "--rollback"], "--resume and --rollback exclude each other"),
        (["../log", "--status"], "--status takes no log folders"),
        (
            ["../log", "--set", "adapt.min_records=50"],
            "there are 5 new records but a round needs 50",
        ),
        (["../log", "--set", "adapt.steps=5"], "adapt.steps"),
        (
            ["../log", "--set", "distill.encoder=resnet18"],
            "[distill] asks for deeplabv3plus/resnet18",
        ),
    ],
)
def test_what_a_user_can_cause_is_one_sentence(
    site: Site, arguments: list[str], sentence: str
) -> None:
    result = adapt(*arguments)
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and sentence in lines[0]
    assert "Traceback" not in result.stderr


def test_damaged_records_are_named_and_do_not_stop_the_round(site: Site) -> None:
    path = next((site.root.parent / "log").rglob("*.esr"))
    path.write_bytes(path.read_bytes()[:-5])
    result = adapt("../log")
    assert result.exit_code == 0
    assert path.name in "".join(result.stderr.splitlines()), "named, wrapped or not"


def test_a_lost_list_of_what_a_round_chose_does_not_end_adaptation(site: Site) -> None:
    assert adapt("../log").exit_code == 0
    (site.root / "rounds/0001/selected.json").unlink()
    make_log(site.root.parent / "more", range(200, 204))
    done = adapt("../more")
    assert done.exit_code == 0, done.output
    assert "rounds/0001/selected.json is gone or damaged" in done.stderr
    chosen = json.loads((site.root / "rounds/0002/selected.json").read_bytes())["frames"]
    assert len(chosen) == 9, "those of the first round count as new"


def test_a_round_that_waits_for_records_goes_on_after_a_move(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its frame log lies in the site, as `edgeseg infer --log auto` writes it."""
    make_log(site.root / "runs/infer/exp1/log", range(300, 302))
    waiting = adapt("runs/infer/exp1/log")
    assert waiting.exit_code == 1 and "2 new records" in waiting.stderr
    state = site.root / "rounds/0001/state.json"
    assert json.loads(state.read_bytes())["logs"] == ["runs/infer/exp1/log"]
    moved = site.root.parent / "moved [x]"
    site.root.rename(moved)
    monkeypatch.chdir(moved)
    done = adapt("--resume", "--set", "adapt.min_records=2")
    assert done.exit_code == 0, done.output
