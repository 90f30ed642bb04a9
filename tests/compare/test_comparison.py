"""Comparisons at the command line and from Python: resumption, runs that fail, refusals."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import edgeseg
from edgeseg.cli.app import app
from edgeseg.compare import comparison
from edgeseg.compare.comparison_folder import claim_folder
from edgeseg.compare.plan import ComparisonPlan
from edgeseg.site import Site
from edgeseg.training.train import train
from tests.helpers.comparison import SET_FLAGS, is_gone, tiny_config


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compare", *SET_FLAGS, *arguments])


def metrics(run: Path) -> Any:
    return json.loads((run / "metrics.json").read_bytes())


def test_kill_9_then_resume_ends_as_if_nothing_had_happened(site: Site) -> None:
    command = [
        sys.executable,
        "-m",
        "edgeseg.cli.app",
        "compare",
        *SET_FLAGS,
        "--methods",
        "mean_teacher",
        "--seeds",
        "2",
    ]
    command += ["--threads", "1"]
    out = site.root / "runs" / "compare" / "exp1"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while (
        not list((out / "mean_teacher-0").glob("checkpoint/step*"))
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    process.kill()
    _, errors = process.communicate()
    assert (out / "table.csv").exists(), errors
    early = list(csv.DictReader((out / "table.csv").open()))
    assert [line["method"] for line in early] == ["suponly"] and metrics(out)["finished"] is False
    first = (out / "suponly-0" / "metrics.json").stat().st_mtime_ns

    refused = call("--resume", "--set", "train.steps=9")
    assert refused.exit_code == 1 and "begun with another configuration" in refused.stderr

    done = call("--resume", "--threads", "1", "--json")
    assert done.exit_code == 0, done.stderr
    assert (out / "suponly-0" / "metrics.json").stat().st_mtime_ns == first, (
        "a finished run is not repeated"
    )
    table = json.loads(done.stdout)
    assert table["finished"] and {line["method"]: line["seeds"] for line in table["methods"]} == {
        "suponly": 2,
        "mean_teacher": 2,
    }
    assert [line["miou"] for line in table["methods"]] == sorted(
        (m["miou"] for m in table["methods"]), reverse=True
    )
    assert all(
        10**8 < line["memory_bytes"] < 10**10 and line["seconds_per_step"] > 0
        for line in table["methods"]
    )
    alone = train(site, tiny_config(method="mean_teacher", seed=0), site.root / "alone")
    (cut,) = (line["last"]["0"] for line in table["methods"] if line["method"] == "mean_teacher")
    assert cut == pytest.approx(alone.metrics["last"]["ema"]["miou"], abs=0.01)
    chosen = table["recommendation"]
    assert Path(chosen["run"]).name.startswith(chosen["method"])
    assert f"Next: edgeseg distill runs/compare/exp1/{Path(chosen['run']).name}" in done.stderr
    assert (Path(chosen["run"]) / "weights" / "best.safetensors").exists()
    page = (out / "report.html").read_text()
    assert page.count("<img") == 3 * 4  # every val frame: itself, the truth, two methods
    assert "mean_teacher" in page and "<polygon" in page and "http" not in page
    assert " ± " in page and "drawn anew, neighbors together, they put mean_teacher between" in page

    again = call("--resume", "--json")  # all is done: the same table, no process
    assert json.loads(again.stdout)["methods"] == table["methods"]


def test_a_run_that_fails_is_a_row_and_the_others_go_on(site: Site) -> None:
    (site.root / "5.png").write_bytes(b"no picture")  # footage: suponly never looks at it
    out = site.root / "runs" / "compare" / "exp1"
    train(
        site, tiny_config(method="suponly", seed=0), out / "suponly-0"
    )  # an ordinary run, so it need not be repeated
    result = call("--methods", "mean_teacher", "--seeds", "1", "--resume", "--threads", "1")
    assert result.exit_code == 1
    assert (
        "suponly is added: it is the floor" in result.stderr
        and "mean_teacher-0 failed: " in result.stderr
    )
    assert (
        "1 of 2 runs failed (mean_teacher-0)" in result.stderr
        and "edgeseg compare --resume" in result.stderr
    )
    good, bad = metrics(out)["methods"]
    assert good["method"] == "suponly" and good["miou"] > 0
    assert "5.png is missing or damaged" in bad["failed"]["0"]
    assert "5.png is missing or damaged" in (out / "report.html").read_text()
    assert "5.png" in list(csv.DictReader((out / "table.csv").open()))[1]["failed"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--methods", "u3pl"], "there is no method u3pl; choose among suponly"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--jobs", "0"], "--jobs must be 1 or more"),
        (["--resume"], "there is no compare run to resume"),
        (["--set", "train.encoder=nosuchnet"], "nosuchnet"),
        (["--set", "train.devices=2"], "train.devices is 2"),
        (["--set", "train.nodes=2"], "train.nodes 2"),
        (["--set", "train.method=u2pl"], "--methods"),
        (["--methods", "cps", "--set", 'train.plugins=["augseg"]'], "cps has no strong view"),
        (["--set", "train.confidence=2"], "the command line has 1 mistake(s): train.confidence"),
        (["--set", "train.freeze_encoder=true"], "freeze_encoder keeps the encoder"),
    ],
)
def test_what_cannot_be_is_one_sentence(site: Site, arguments: list[str], text: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 1 and text in result.stderr and "Traceback" not in result.stderr
    assert not (site.root / "runs").exists()


@pytest.mark.parametrize(
    ("split", "text"), [("val", "0 val frames"), ("unlabelled", "0 unlabelled frames")]
)
def test_a_site_without_val_labels_or_footage_is_refused_before_anything_is_written(
    site: Site, split: str, text: str
) -> None:
    site.save_frames([frame for frame in site.frames() if frame.split != split])
    result = call()
    assert result.exit_code == 1 and text in result.stderr
    assert not (site.root / "runs").exists()


# A comparison whose runs are stand-ins, in a process that may be interrupted at any moment.
STAND_IN_COMPARISON = """
import signal, sys
from edgeseg.cli.app import app
from edgeseg.compare import process_pool
from tests.helpers.comparison import play_by_seed
signal.signal(signal.SIGINT, signal.default_int_handler)  # the background of a script ignores it
process_pool.run_job = play_by_seed
app(sys.argv[1:])
"""


def test_ctrl_c_is_ours_alone_ends_the_processes_and_says_how_to_go_on(site: Site) -> None:
    arguments = ["compare", *SET_FLAGS, "--methods", "u2pl", "--set", "train.seed=4"]
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", STAND_IN_COMPARISON, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    pid = site.root / "runs" / "compare" / "exp1" / "suponly-4" / "pid"
    while process.poll() is None and not (pid.exists() and pid.read_text()):
        time.sleep(0.02)
    run = int(pid.read_text())

    os.kill(run, signal.SIGINT)  # as a terminal does: every process of the group gets it
    time.sleep(0.3)
    assert not is_gone(run)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130, errors
    assert "stopped after 0 of 6 runs; go on with `edgeseg compare --resume`" in errors
    assert is_gone(run)


# From Python.


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ComparisonPlan, Path]]:
    """The plans and folders that would be trained; nothing is."""
    calls: list[tuple[ComparisonPlan, Path]] = []

    def note(site: Site, plan: ComparisonPlan, out: Path, **others: Any) -> None:
        claim_folder(site, plan, out, resume=others["resume"])
        calls.append((plan, out))

    monkeypatch.setattr(comparison, "run_comparison", note)
    return calls


def test_left_out_arguments_mean_the_sites_method_three_seeds_and_a_new_folder(
    site: Site, planned: list[tuple[ComparisonPlan, Path]]
) -> None:
    tiny = Site(site.root, site.config.model_copy(update={"train": tiny_config(method="u2pl")}))
    edgeseg.compare(tiny)  # a package that can be called
    plan, out = planned[0]
    assert (plan.methods, plan.seeds, plan.parallel_runs) == (("suponly", "u2pl"), 3, 1)
    assert out == site.root / "runs" / "compare" / "exp1"
    assert plan.config.steps == tiny.config.train.steps


def test_resuming_keeps_methods_and_seeds_and_adds_what_is_named(
    site: Site, planned: list[tuple[ComparisonPlan, Path]]
) -> None:
    settings = tiny_config(method="u2pl")
    comparison.compare(site, ["cps"], seeds=2, config=settings)
    comparison.compare(site, config=settings, resume=True)
    comparison.compare(site, ["classmix"], seeds=4, config=settings, resume=True)
    assert [(plan.methods, plan.seeds) for plan, _ in planned] == [
        (("suponly", "cps"), 2),
        (("suponly", "cps"), 2),
        (("suponly", "cps", "classmix"), 4),
    ]
    assert len({out for _, out in planned}) == 1
