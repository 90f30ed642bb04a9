"""Comparisons: runs that crash or are killed, exact resumption, the table and the page."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edgeseg.cli.app import app
from edgeseg.cli.training.compare import choose_methods
from edgeseg.compare import process_pool as pool
from edgeseg.compare.html_page import even_rows, learning_curve, pseudo_label_divergence
from edgeseg.compare.plan import (
    ComparisonPlan,
    claim_folder,
    method_obstacles,
    plan_comparison,
    stored_plan,
)
from edgeseg.compare.process_pool import run_jobs
from edgeseg.compare.results import RARE_SHARE, group_by_method, rare_classes, table_row
from edgeseg.compare.worker import TrainingJob
from edgeseg.config import METHOD_NAMES, TrainConfig, validate_config
from edgeseg.errors import TrainError
from edgeseg.site import Site
from edgeseg.training.train import train
from tests.helpers.comparison import SET, TINY, look, play, standing
from tests.helpers.sites import make_site

# Figures.


def test_rare_classes_are_labelled_and_below_the_share_or_the_rarest() -> None:
    assert RARE_SHARE == 0.05 and rare_classes({"a": 951, "b": 49, "c": 0}) == ["b"]
    assert rare_classes({"a": 60, "b": 40}) == ["b"]


def test_standings_are_sorted_and_keep_what_failed() -> None:
    runs = [*standing("a", [50, 52]).runs, *standing("b", [60]).runs]
    found = group_by_method(runs, {("b", 1): "boom", ("c", 0): "bang"}, ["c", "a", "b", "d"])
    assert [each.method for each in found] == ["b", "a", "c"]
    line = table_row(found[0], found[1], ["c0", "c1"])
    assert (line["gain"], line["rare_iou"], line["sd"], line["failed"]) == (
        9.0,
        60.0,
        None,
        {"1": "boom"},
    )
    assert table_row(found[2], found[1], []) == {"method": "c", "seeds": 0, "failed": {"0": "bang"}}


def test_curves_span_all_seeds_and_drift_is_nought_where_labels_agree() -> None:
    line = learning_curve(standing("a", [40, 60]))
    assert (line.x, line.y, line.band) == ([2.0, 4.0], [25.0, 50.0], [(20.0, 30.0), (40.0, 60.0)])
    assert pseudo_label_divergence({}, {"a": 5}) == 0 and pseudo_label_divergence(
        {"a": 0.5, "b": 0.5}, {"a": 50, "b": 50}
    ) == pytest.approx(0)
    assert pseudo_label_divergence({"a": 1.0, "b": 0.0}, {"a": 0, "b": 1000}) > 5


@pytest.mark.parametrize(("number", "widths"), [(4, [4]), (6, [6]), (7, [4, 3]), (13, [5, 5, 3])])
def test_pictures_of_many_methods_take_several_rows(number: int, widths: list[int]) -> None:
    import numpy as np

    cells = [(np.zeros((1, 1, 3), np.uint8), str(n)) for n in range(number)]
    assert [len(line) for line in even_rows(cells)] == widths


# Processes.


class Watcher:
    """A report that remembers."""

    def __init__(self) -> None:
        self.done, self.notes, self.said = 0, list[str](), list[str]()

    def start(self, title: str, total: int | None) -> None: ...
    def stop(self) -> None: ...
    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        self.notes.append(note)

    def say(self, message: str) -> None:
        self.said.append(message)


def config(**changes: object) -> TrainConfig:
    return validate_config(TrainConfig, TINY | changes, "test")


def jobs(out: Path, seeds: int) -> list[TrainingJob]:
    return [
        TrainingJob(out, config(seed=seed, method="suponly"), out / str(seed), 1)
        for seed in range(seeds)
    ]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_process_that_dies_is_a_reason_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "run_job", play)
    watcher = Watcher()
    found = {job.config.seed: reason for job, reason in run_jobs(jobs(tmp_path, 4), 2, watcher)}
    assert found[0] is None and found[3] == "frame f1 is damaged"
    assert "SIGKILL, most likely because memory ran out" in str(found[1]) and "exit code 3" in str(
        found[2]
    )
    assert watcher.done == 4 * 4  # the budget of each, however it counted and ended
    assert "suponly seed 0 mIoU 1.0" in watcher.notes


@pytest.mark.parametrize(
    ("gpus", "wanted"), [(("1", "GPU-5"), ["1", "GPU-5"] * 2), ((), ["all"] * 4)]
)
def test_runs_at_a_time_are_spread_over_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: tuple[str, ...], wanted: list[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(pool, "run_job", look)
    ended = list(run_jobs(jobs(tmp_path, 4), 4, Watcher(), gpus))
    assert [reason for _, reason in ended] == [None] * 4
    assert [(tmp_path / str(seed) / "gpus").read_text() for seed in range(4)] == wanted


@pytest.mark.parametrize(
    ("device", "at_once", "named", "wanted"),
    [
        ("auto", 2, None, ("0", "1")),
        ("cuda", 3, "3,GPU-5", ("3", "GPU-5")),
        ("auto", 1, None, ()),
        ("cpu", 2, None, ()),
    ],
)
def test_gpus_are_those_that_the_command_sees(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    at_once: int,
    named: str | None,
    wanted: tuple[str, ...],
) -> None:
    """Two GPUs are pretended; there is none here."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    if named is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert plan_comparison(site, config(device=device), ["suponly"], 1, jobs=at_once).gpus == wanted


def test_leaving_early_ends_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "run_job", play)
    order = [jobs(tmp_path, 5)[4], jobs(tmp_path, 1)[0]]
    ended = run_jobs(order, 2, Watcher())
    assert next(ended)[0].config.seed == 0
    pid = tmp_path / "4" / "pid"
    while not pid.exists():
        time.sleep(0.02)
    ended.close()
    assert gone(int(pid.read_text()))


# The command.


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = make_site(tmp_path / "site")
    monkeypatch.chdir(site.root)
    return site


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compare", *SET, *arguments])


def metrics(run: Path) -> Any:
    return json.loads((run / "metrics.json").read_bytes())


def test_kill_9_then_resume_ends_as_if_nothing_had_happened(site: Site) -> None:
    command = [
        sys.executable,
        "-m",
        "edgeseg.cli.app",
        "compare",
        *SET,
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
    alone = train(site, config(method="mean_teacher", seed=0), site.root / "alone")
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


def test_methods_and_seeds_can_be_added_on_resumption_and_nothing_else_changed(site: Site) -> None:
    out = site.root / "runs" / "compare" / "exp1"
    small, large = (("suponly",), 1), (("suponly", "u2pl"), 2)
    for (methods, seeds), resume in ((small, False), (large, True), (large, True)):
        claim_folder(site, ComparisonPlan(config(), methods, seeds), out, resume=resume)
        assert stored_plan(out) == (methods, seeds)
    with pytest.raises(TrainError, match="can be added to it but not taken away"):
        claim_folder(site, ComparisonPlan(config(), *small), out, resume=True)
    with pytest.raises(TrainError, match=r"another configuration \(steps"):
        claim_folder(site, ComparisonPlan(config(steps=9), *large), out, resume=True)
    with pytest.raises(TrainError, match="already holds a comparison"):
        claim_folder(site, ComparisonPlan(config(), *large), out, resume=False)
    mask = site.root / "1-mask.png"
    before = mask.read_bytes()
    mask.write_bytes((site.root / "2-mask.png").read_bytes())
    with pytest.raises(TrainError, match="frames have changed"):
        claim_folder(site, ComparisonPlan(config(), *large), out, resume=True)
    mask.write_bytes(before)
    claim_folder(site, ComparisonPlan(config(), *large), out, resume=True)
    site.save_frames([frame for frame in site.frames() if frame.id != "f8"])
    with pytest.raises(TrainError, match="frames have changed"):
        claim_folder(site, ComparisonPlan(config(), *large), out, resume=True)


def test_a_run_that_fails_is_a_row_and_the_others_go_on(site: Site) -> None:
    (site.root / "5.png").write_bytes(b"no picture")  # footage: suponly never looks at it
    out = site.root / "runs" / "compare" / "exp1"
    train(
        site, config(method="suponly", seed=0), out / "suponly-0"
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


def test_every_method_that_works_here_can_be_asked_for_at_once(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    able = method_obstacles(config(), 3)
    assert choose_methods("all", "", able) == list(METHOD_NAMES)
    assert choose_methods(" a, b,", "", able) == ["a", "b"] and choose_methods(None, "c", able) == [
        "c"
    ]
    names = choose_methods("all", "", method_obstacles(config(), 2))
    assert set(METHOD_NAMES) - set(names) == {"fpl_cps", "fpl_cps_cutmix", "fpl_ael"}
    assert "left out: fpl_cps needs at least 3 classes" in " ".join(capsys.readouterr().err.split())
    assert plan_comparison(site, config(), ["mt", "st++", "mean_teacher"], 1).methods == (
        "suponly",
        "mean_teacher",
        "stpp",
    )


def test_only_methods_that_label_online_get_the_plugins(site: Site) -> None:
    wanted = plan_comparison(site, config(plugins=["ael"]), ["cutmix_mt", "st"], 1)
    found = {
        job.config.method: job.config.plugins for job in wanted.jobs(site.root, site.root / "out")
    }
    assert found == {"suponly": (), "cutmix_mt": ("ael",), "st": ()}


def test_ctrl_c_is_ours_alone_ends_the_processes_and_says_how_to_go_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "run_job", play)
    pid = site.root / "runs" / "compare" / "exp1" / "suponly-4" / "pid"
    survived: list[bool] = []

    def interrupt() -> None:  # as a terminal does: every process of the group gets it
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.02)
        os.kill(int(pid.read_text()), signal.SIGINT)
        time.sleep(0.3)
        survived.append(not gone(int(pid.read_text())))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what was started in the background ignores it
    try:
        thread = threading.Thread(target=interrupt, daemon=True)
        thread.start()
        result = call("--methods", "u2pl", "--set", "train.seed=4")
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == 130 and survived == [True]
    assert "stopped after 0 of 6 runs; go on with `edgeseg compare --resume`" in result.stderr
    assert gone(int(pid.read_text()))
