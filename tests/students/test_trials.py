"""Trials from the command line: tiny networks, really distilled, exported and raced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeseg.cli.app import app
from edgeseg.site import Site
from tests.helpers.exporting import ENCODER, make_run, make_site

SET_FLAGS = [
    part
    for text in ("batch=2", "batch_unlabelled=2", "checkpoint_every=2", 'device="cpu"')
    for part in ("--set", f"distill.{text}")
]
LENIENT = [
    part
    for text in ("max_drop=100.0", "max_class_drop=100.0", "calibration_frames=4")
    for part in ("--set", f"export.{text}")
]


def bench(*words: object) -> Result:
    fixed = ["bench", "--students", "--accuracy", "--threads", "1", *SET_FLAGS, *LENIENT]
    return CliRunner().invoke(app, [*fixed, *map(str, words)])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = make_site(tmp_path_factory.mktemp("trials") / "site", val=5, unlabelled=4)
    make_run(site, steps=2)
    return site


def test_trials_make_a_table_a_plot_and_bundles(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.root)
    options: list[object] = ["--teacher", "runs/distill/exp1", "--steps", 2, "--sizes", "64x96"]
    options += ["--student", "stdc/stdc1_025", "--student", f"lraspp/{ENCODER}"]
    options += ["--start", f"{ENCODER}=lost.safetensors"]
    done = bench(*options)
    assert done.exit_code == 0, done.output
    out = site.root / "runs" / "students" / "exp1"
    found = json.loads((out / "results.json").read_bytes())
    rows = {row["arch"]: row for row in found["students"]}
    assert len(rows) == 2 and found["steps"] == 2
    stdc = rows["stdc"]
    assert stdc["failed"] == "" and 0 <= stdc["int8_miou"] <= 100 and stdc["int8_ms"] > 0
    # weights that are not there cost that student only
    assert "lost.safetensors" in rows["lraspp"]["failed"]
    page = (out / "report.html").read_text()
    assert "<svg" in page and "stdc/stdc1_025" in page and "lost.safetensors" in page
    assert (
        "failed" in done.stdout
        and "next: edgeseg distill --encoder stdc1_025 --weights none" in done.stderr
    )
    bundle = out / "stdc-stdc1_025-64x96-0" / "bundle"
    assert (bundle / "manifest.json").exists()

    # Once more: nothing is trained again, another seed is.
    before = (bundle / "manifest.json").stat().st_mtime_ns
    go_on = ["bench", "--students", "--accuracy", "--resume", "--threads", "1"]
    other = CliRunner().invoke(app, [*go_on, "--steps", "9"])
    assert other.exit_code == 1 and "--steps and --resume disagree" in other.output
    settings = (site.root / "edgeseg.toml").read_text()  # changes nothing in what was begun
    (site.root / "edgeseg.toml").write_text(settings.replace("[distill]", "[distill]\nbatch = 4"))
    more = CliRunner().invoke(app, [*go_on, "--seeds", "2", "--json"])
    assert more.exit_code == 0, more.output
    assert (bundle / "manifest.json").stat().st_mtime_ns == before
    rows = {row["arch"]: row for row in json.loads(more.stdout)["students"]}
    assert rows["stdc"]["seeds"] == 2 and len(rows) == 2

    # What a device does with the folder: all bundles, timed without torch.
    timed = CliRunner().invoke(
        app, ["bench", str(out), "--frames", "2", "--threads", "1", "--json"]
    )
    assert timed.exit_code == 0, timed.output
    facts = json.loads(timed.stdout)["bundles"]
    found = [(row["encoder"], row["height"], row["width"]) for row in facts]
    assert found == [("stdc1_025", 64, 96)] * 2
    device = site.root / "device.json"
    for row in facts:  # a network of two steps need not be right in INT8
        row["passed"] = dict.fromkeys(row["passed"], True)
    device.write_text(json.dumps({"bundles": facts}))
    words = ["distill", "runs/distill/exp1", "--budget", f"900ms@{device}", *SET_FLAGS]
    words += ["--set", "distill.steps=1", "--imgsz", "64x96", "--json"]
    chosen = CliRunner().invoke(app, words)
    assert chosen.exit_code == 0, chosen.output
    assert "student stdc/stdc1_025" in chosen.stderr
    run = Path(json.loads(chosen.stdout)["run"])
    assert 'encoder = "stdc1_025"' in (run / "config.toml").read_text()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--steps", "3"], "--steps goes with --accuracy"),
        (["--resume"], "--resume goes with --accuracy"),
        (["--accuracy", "--start", "x"], "is not ENCODER=FILE"),
        (["--accuracy", "--teacher", "runs/none"], "runs/none"),
        (["--accuracy", "--resume"], "no students run to resume"),
        (["--accuracy"], "no finished train run"),
        (["--sizes", "100x64"], "multiples of 32"),
        (["--sizes", "huge"], "is no size"),
    ],
)
def test_options_that_do_not_fit_are_refused_at_once(
    words: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path / "site", val=1, unlabelled=1)
    monkeypatch.chdir(site.root)
    done = CliRunner().invoke(app, ["bench", "--students", *words])
    assert done.exit_code == 1 and text in " ".join(done.output.split()), done.output
    assert not (site.root / "runs").exists()


def test_trials_want_a_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["bench", "--students", "--accuracy", "--classes", "3"])
    assert done.exit_code == 1 and "go into a site" in done.output
