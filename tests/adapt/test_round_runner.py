"""A round from start to end: what it trains from, how it ends, what it refuses."""

from __future__ import annotations

import os

import pytest

from edgeseg.adapt.publish import open_champion
from edgeseg.atomic_files import lock_folder
from edgeseg.errors import AdaptError
from edgeseg.imaging.perceptual_hash import dhash
from edgeseg.site import Site
from tests.helpers.rounds import (
    BAD,
    FAIR,
    TrainingStandIns,
    add_frame,
    make_log,
    read,
    run_with,
    scene,
    verdicts,
    with_config,
)


def test_a_round_publishes_a_better_bundle(site: Site) -> None:
    stand_ins = TrainingStandIns()
    result = run_with(site, stand_ins)
    assert result.verdict == "published"
    assert stand_ins.names() == ["pseudo-label", "train", "distill", "export", "compare"]
    current = open_champion(site)
    current.verify()
    assert current.path == result.bundle
    assert current.manifest.seq == 2
    assert current.manifest.provenance["parent"] == {"name": "first", "seq": 1}
    assert current.manifest.provenance["round"] == 1
    assert (site.root / "bundles/first").is_dir()


def test_training_starts_from_the_champion_and_looks_at_the_new_frames(site: Site) -> None:
    stand_ins = TrainingStandIns()
    run_with(site, stand_ins)
    steps = dict(stand_ins.calls)
    new = {frame.id for frame in site.frames("unlabelled") if frame.origin == "log"}
    assert len(new) == 5
    assert steps["train"]["init"] == site.root / "runs/train/exp1"
    assert steps["distill"]["init"] == site.root / "runs/distill/exp1"
    assert steps["distill"]["teacher"] == site.root / "rounds/0001/train"
    assert steps["train"]["focus"] == steps["distill"]["focus"] == new
    assert steps["export"]["int8"] and steps["export"]["imgsz"] == (64, 96)


def test_the_next_round_starts_from_the_runs_of_the_last(site: Site) -> None:
    run_with(site)
    make_log(site.root.parent / "more", range(200, 204))
    stand_ins = TrainingStandIns()
    assert run_with(site, stand_ins, "log", "more").number == 2
    steps = dict(stand_ins.calls)
    assert steps["train"]["init"] == site.root / "rounds/0001/train"
    assert steps["distill"]["init"] == site.root / "rounds/0001/distill"
    assert len(steps["train"]["focus"]) == 4, "what the champion has learned is not new"
    assert open_champion(site).manifest.seq == 3


def test_a_worse_challenger_is_rejected_and_the_champion_stays(site: Site) -> None:
    result = run_with(site, TrainingStandIns(challenger=BAD))
    assert (result.verdict, result.bundle) == ("rejected", None)
    assert open_champion(site).path.name == "first"
    decision = read(result.folder / "decision.json")
    assert decision["verdict"] == "rejected" and decision["reason"] == result.reason
    assert "more than 3 points of IoU lost in sky" in result.reason
    assert decision["figures"]["champion"]["miou"] > decision["figures"]["challenger"]["miou"]
    assert decision["thresholds"]["max_drop"] == 0.5
    assert set(decision["inputs"]) == {"champion", "challenger", "selected", "gate"}
    assert decision["pseudo_labels"]["alarms"] == ["classes differ"]


def test_a_refused_int8_file_rejects_the_round_with_its_reason(site: Site) -> None:
    result = run_with(site, TrainingStandIns(int8=False))
    assert result.verdict == "rejected"
    assert "no model.int8-cpu.onnx" in result.reason and "INT8 loses 9.0 mIoU" in result.reason


def test_records_of_a_rejected_round_come_back_with_the_next(site: Site) -> None:
    run_with(site, TrainingStandIns(challenger=BAD))
    make_log(site.root.parent / "more", range(200, 203))
    stand_ins = TrainingStandIns()
    run_with(site, stand_ins, "more")
    assert len(dict(stand_ins.calls)["train"]["focus"]) == 8


def test_the_same_round_is_not_run_twice(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    run_with(site, TrainingStandIns(challenger=BAD))
    with pytest.raises(
        AdaptError, match=r"nothing has changed since round 0001, which was rejected"
    ):
        run_with(site)
    monkeypatch.setattr("edgeseg.adapt.champion.require_trackers", lambda names: None)
    with pytest.raises(AdaptError, match="nothing has changed"):  # whoever watches changes nothing
        run_with(with_config(site, train={"trackers": ["mlflow"]}))
    changed = with_config(site, train={"decoder_lr": 1e-4})
    assert run_with(changed).number == 2


def test_collapsed_pseudo_labels_stop_the_round_before_training(site: Site) -> None:
    stand_ins = TrainingStandIns(collapse="water takes 99.0 % of the pseudo-labels")
    with pytest.raises(AdaptError, match=r"round 0001 was stopped: .* collapsed: water takes 99"):
        run_with(site, stand_ins)
    assert stand_ins.names() == ["pseudo-label"]
    assert verdicts(site) == ["stopped"]
    assert read(site.root / "rounds/0001/decision.json")["verdict"] == "stopped"
    assert open_champion(site).path.name == "first"
    site.save_frames([*site.frames(), add_frame(site, 300, "labelled")])
    assert run_with(site).number == 2, "a new label is a reason to try again"


def test_too_few_records_are_told_and_kept_for_later(site: Site) -> None:
    patient = with_config(site, adapt={"min_records": 7})
    with pytest.raises(AdaptError, match=r"there are 5 new records but a round needs 7"):
        run_with(patient)
    assert verdicts(site) == ["open"]
    make_log(site.root.parent / "more", range(200, 203))
    stand_ins = TrainingStandIns()
    result = run_with(patient, stand_ins, "more")
    assert (result.number, len(dict(stand_ins.calls)["train"]["focus"])) == (1, 8)


def test_two_rounds_at_once_are_refused(site: Site) -> None:
    with (
        lock_folder(site.root / "rounds"),
        pytest.raises(AdaptError, match=rf"in use by another .*pid {os.getpid()}"),
    ):
        run_with(site)


def test_near_copies_do_not_make_a_round(site: Site) -> None:
    image = scene(100)[0]
    assert dhash(image) == dhash(scene(100)[0])
    make_log(site.root.parent / "again", range(100, 105))
    run_with(site)
    with pytest.raises(AdaptError, match="there are 0 new records but a round needs 3"):
        run_with(site, None, "again")


def test_the_gate_measures_against_the_shipped_counts(site: Site) -> None:
    result = run_with(site, TrainingStandIns(challenger=FAIR))
    assert result.figures["difference"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert result.verdict == "published", "as good as the champion, on newer footage"
