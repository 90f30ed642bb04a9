"""A round survives whatever happens to it: the champion is always a whole bundle, and the next
start goes on.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg.adapt import round_status as status
from edgeseg.adapt.publish import open_champion
from edgeseg.adapt.round_runner import RoundResult, abandon, rollback, run_round
from edgeseg.adapt.round_state import STEPS, load_round, load_rounds
from edgeseg.atomic_files import lock_folder, write_json
from edgeseg.bundle import Bundle
from edgeseg.config import SiteConfig, validate_config
from edgeseg.errors import AdaptError, BundleError, DataError, TrainError
from edgeseg.imaging.perceptual_hash import dhash
from edgeseg.site import Site
from tests.helpers.rounds import (
    BAD,
    CONFIG,
    FAIR,
    Stand,
    add_frame,
    make_bundle,
    make_champion,
    make_log,
    make_site,
    read,
    scene,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = make_site(tmp_path / "site")
    make_champion(site)
    make_log(tmp_path / "log", range(100, 105))
    return site


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # nobody cuts the power in these tests


def go(site: Site, stand: Stand | None = None, *logs: str, resume: bool = False) -> RoundResult:
    folders = [site.root.parent / name for name in logs or (() if resume else ("log",))]
    return run_round(site, folders, resume=resume, training=(stand or Stand()).steps())


def with_config(site: Site, **changes: dict[str, Any]) -> Site:
    table = CONFIG.model_dump()
    for section, values in changes.items():
        table[section].update(values)
    return Site(site.root, validate_config(SiteConfig, table, "the test site"))


def verdicts(site: Site) -> list[str]:
    return [each.verdict for each in status.list_rounds(site)]


# One round, start to end.


def test_a_round_publishes_a_better_bundle(site: Site) -> None:
    stand = Stand()
    result = go(site, stand)
    assert result.verdict == "published"
    assert stand.names() == ["pseudo-label", "train", "distill", "export", "compare"]
    current = open_champion(site)
    current.verify()
    assert current.path == result.bundle
    assert current.manifest.seq == 2
    assert current.manifest.provenance["parent"] == {"name": "first", "seq": 1}
    assert current.manifest.provenance["round"] == 1
    assert (site.root / "bundles/first").is_dir()


def test_training_starts_from_the_champion_and_looks_at_the_new_frames(site: Site) -> None:
    stand = Stand()
    go(site, stand)
    steps = dict(stand.calls)
    new = {frame.id for frame in site.frames("unlabelled") if frame.origin == "log"}
    assert len(new) == 5
    assert steps["train"]["init"] == site.root / "runs/train/exp1"
    assert steps["distill"]["init"] == site.root / "runs/distill/exp1"
    assert steps["distill"]["teacher"] == site.root / "rounds/0001/train"
    assert steps["train"]["focus"] == steps["distill"]["focus"] == new
    assert steps["export"]["int8"] and steps["export"]["imgsz"] == (64, 96)


def test_the_next_round_starts_from_the_runs_of_the_last(site: Site) -> None:
    go(site)
    make_log(site.root.parent / "more", range(200, 204))
    stand = Stand()
    assert go(site, stand, "log", "more").number == 2
    steps = dict(stand.calls)
    assert steps["train"]["init"] == site.root / "rounds/0001/train"
    assert steps["distill"]["init"] == site.root / "rounds/0001/distill"
    assert len(steps["train"]["focus"]) == 4, "what the champion has learned is not new"
    assert open_champion(site).manifest.seq == 3


def test_a_worse_challenger_is_rejected_and_the_champion_stays(site: Site) -> None:
    result = go(site, Stand(challenger=BAD))
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
    result = go(site, Stand(int8=False))
    assert result.verdict == "rejected"
    assert "no model.int8-cpu.onnx" in result.reason and "INT8 loses 9.0 mIoU" in result.reason


def test_records_of_a_rejected_round_come_back_with_the_next(site: Site) -> None:
    go(site, Stand(challenger=BAD))
    make_log(site.root.parent / "more", range(200, 203))
    stand = Stand()
    go(site, stand, "more")
    assert len(dict(stand.calls)["train"]["focus"]) == 8


def test_the_same_round_is_not_run_twice(site: Site) -> None:
    go(site, Stand(challenger=BAD))
    with pytest.raises(
        AdaptError, match=r"nothing has changed since round 0001, which was rejected"
    ):
        go(site)
    changed = with_config(site, train={"decoder_lr": 1e-4})
    assert go(changed).number == 2


def test_collapsed_pseudo_labels_stop_the_round_before_training(site: Site) -> None:
    stand = Stand(collapse="water takes 99.0 % of the pseudo-labels")
    with pytest.raises(AdaptError, match=r"round 0001 was stopped: .* collapsed: water takes 99"):
        go(site, stand)
    assert stand.names() == ["pseudo-label"]
    assert verdicts(site) == ["stopped"]
    assert read(site.root / "rounds/0001/decision.json")["verdict"] == "stopped"
    assert open_champion(site).path.name == "first"
    site.save_frames([*site.frames(), add_frame(site, 300, "labelled")])
    assert go(site).number == 2, "a new label is a reason to try again"


# What must be there first.


def test_too_few_records_are_told_and_kept_for_later(site: Site) -> None:
    patient = with_config(site, adapt={"min_records": 7})
    with pytest.raises(AdaptError, match=r"there are 5 new records but a round needs 7"):
        go(patient)
    assert verdicts(site) == ["open"]
    make_log(site.root.parent / "more", range(200, 203))
    stand = Stand()
    result = go(patient, stand, "more")
    assert (result.number, len(dict(stand.calls)["train"]["focus"])) == (1, 8)


def test_a_site_without_a_champion_is_told_how_to_make_one(tmp_path: Path) -> None:
    make_log(tmp_path / "log", range(100, 105))
    with pytest.raises(AdaptError, match=r"no champion; run `edgeseg export` first"):
        go(make_site(tmp_path / "site"))


@pytest.mark.parametrize(
    ("spoil", "error", "text"),
    [
        (
            lambda site: shutil.rmtree(site.root / "runs/train"),
            AdaptError,
            "site model of first is not at",
        ),
        (
            lambda site: shutil.rmtree(site.root / "runs/distill"),
            AdaptError,
            "edge model of first is not at",
        ),
        (
            lambda site: (site.root / "runs/distill/exp1/origin.json").unlink(),
            AdaptError,
            "no distilled model",
        ),
        (
            lambda site: (site.root / "runs/train/exp1/model.json").write_text("{"),
            AdaptError,
            "cannot be read",
        ),
        (
            lambda site: (site.root / "bundles/first/model.onnx").write_text("graph X"),
            BundleError,
            "damaged",
        ),
        (
            lambda site: site.save_frames(f for f in site.frames() if f.split != "gate"),
            DataError,
            "0 gate frames",
        ),
        (lambda site: shutil.rmtree(site.root.parent / "log"), AdaptError, "log does not exist"),
        (
            lambda site: (site.root / "rounds/records.jsonl").write_text("{"),
            AdaptError,
            "records.jsonl is damaged",
        ),
    ],
)
def test_what_would_fail_hours_later_is_told_at_once(
    site: Site, spoil: Any, error: type[Exception], text: str
) -> None:
    (site.root / "rounds").mkdir()
    spoil(site)
    stand = Stand()
    with pytest.raises(error, match=text):
        go(site, stand)
    assert stand.calls == []


def test_another_network_in_the_configuration_is_told_at_once(site: Site) -> None:
    with pytest.raises(AdaptError, match=r"\[distill\] asks for deeplabv3plus/resnet18"):
        go(with_config(site, distill={"encoder": "resnet18"}))


def test_other_classes_are_told_at_once(site: Site) -> None:
    make_bundle(
        site.root / "bundles/first",
        site.root / "runs/distill/exp1",
        seq=1,
        classes=CONFIG.classes[:2],
    )
    with pytest.raises(AdaptError, match="first knows other classes"):
        go(site)


def test_a_moved_site_still_finds_its_runs(site: Site) -> None:
    go(site)
    moved = site.root.parent / "elsewhere"
    site.root.rename(moved)
    make_log(moved.parent / "more", range(200, 204))
    stand = Stand()
    go(Site(moved, site.config), stand, "more")
    assert dict(stand.calls)["train"]["init"] == moved / "rounds/0001/train"


def test_two_rounds_at_once_are_refused(site: Site) -> None:
    with (
        lock_folder(site.root / "rounds"),
        pytest.raises(AdaptError, match=rf"in use by another .*pid {os.getpid()}"),
    ):
        go(site)


# Cut off and continued.


class Cut(Exception):
    """Stands for whatever ends a step."""


def cut_at(step: str) -> Callable[[str], None]:
    def strike(name: str) -> None:
        if name == step:
            raise Cut

    return strike


@pytest.mark.parametrize("place", ["pseudo-label", "train", "distill", "export", "compare"])
def test_a_round_goes_on_with_the_step_that_was_cut_off(site: Site, place: str) -> None:
    with pytest.raises(Cut):
        go(site, Stand(before=cut_at(place)))
    assert open_champion(site).path.name == "first"
    stand = Stand()
    assert go(site, stand, resume=True).verdict == "published"
    order = ["pseudo-label", "train", "distill", "export", "compare"]
    assert stand.names() == order[order.index(place) :]


def test_a_step_that_was_cut_off_is_told_to_resume(site: Site) -> None:
    with pytest.raises(Cut):
        go(site, Stand(before=cut_at("distill")))
    stand = Stand()
    go(site, stand)
    assert dict(stand.calls)["distill"]["resume"] is True


@pytest.mark.parametrize(
    ("damaged", "again"),
    [
        ("selected.json", "pseudo-label"),
        ("pseudo/statistics.json", "pseudo-label"),
        ("train/weights/best.safetensors", "train"),
        ("distill/metrics.json", "distill"),
        ("bundle/model.int8-cpu.onnx", "export"),
    ],
)
def test_a_damaged_result_is_made_again(site: Site, damaged: str, again: str) -> None:
    with pytest.raises(Cut):
        go(site, Stand(before=cut_at("compare")))
    path = site.root / "rounds/0001" / damaged
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    stand = Stand()
    assert go(site, stand).verdict == "published"
    assert stand.names()[0] == again
    assert load_round(site.root / "rounds/0001") is not None


def test_an_open_round_refuses_another_configuration_and_can_be_given_up(site: Site) -> None:
    with pytest.raises(Cut):
        go(site, Stand(before=cut_at("train")))
    changed = with_config(site, train={"decoder_lr": 1e-4})
    with pytest.raises(AdaptError, match=r"round 0001 began with other values of train.decoder_lr"):
        go(changed)
    assert abandon(site).verdict == "abandoned"
    with pytest.raises(AdaptError, match="no round is open"):
        abandon(site)
    result = go(changed)
    assert (result.number, result.verdict) == (2, "published")
    assert verdicts(site) == ["abandoned", "published"]


def test_nothing_to_resume_is_told(site: Site) -> None:
    with pytest.raises(AdaptError, match="no round is open, so there is nothing to resume"):
        go(site, resume=True)
    go(site)
    with pytest.raises(AdaptError, match="nothing to resume"):
        go(site, resume=True)


def test_errors_of_a_step_pass_through_and_leave_the_round_open(site: Site) -> None:
    def fail(name: str) -> None:
        if name == "train":
            raise TrainError("the loss is not finite")

    with pytest.raises(TrainError):
        go(site, Stand(before=fail))
    assert status.list_rounds(site)[0].step == "train"


def test_a_full_disk_is_one_sentence_and_the_round_goes_on_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(name: str) -> None:
        if name == "export":
            raise OSError(errno.ENOSPC, "No space left on device", "model.onnx")

    with pytest.raises(
        AdaptError, match=r"cannot go on with export \(No space left on device: model.onnx\)"
    ):
        go(site, Stand(before=full))
    assert go(site, resume=True).verdict == "published"


def test_a_damaged_state_names_the_file(site: Site) -> None:
    with pytest.raises(Cut):
        go(site, Stand(before=cut_at("train")))
    state = site.root / "rounds/0001/state.json"
    state.write_bytes(state.read_bytes()[:50])
    with pytest.raises(AdaptError, match=r"state.json cannot be read .* move .*0001 away"):
        go(site)


# The champion changes meanwhile.


def test_a_champion_that_changed_before_publishing_is_judged_too(site: Site) -> None:
    stand = Stand()
    seen: list[str] = []

    def swap(name: str) -> None:
        if name == "compare" and not seen:
            seen.append(name)
            make_bundle(site.root / "bundles/by-hand", site.root / "runs/distill/exp1", seq=7)
            os.replace(_link(site, "by-hand"), site.current_bundle)

    # The swap happens after the gate has read the champion's name but before the verdict is acted
    # on.
    stand.before = swap
    result = go(site, stand)
    assert result.verdict == "published"
    assert [what["champion"] for name, what in stand.calls if name == "compare"] == [
        "first",
        "by-hand",
    ]
    assert open_champion(site).manifest.provenance["parent"]["name"] == "by-hand"


def _link(site: Site, target: str) -> Path:
    link = site.root / "bundles/.next"
    link.symlink_to(target)
    return link


def test_rollback_returns_to_the_parent_and_deletes_nothing(site: Site) -> None:
    first = go(site)
    left, now = rollback(site)
    assert (left.path, now.path.name) == (first.bundle, "first")
    assert first.bundle is not None and Bundle.open(first.bundle).manifest.seq == 2
    assert verdicts(site) == ["rolled back"]
    with pytest.raises(AdaptError, match="first is the first bundle of its line"):
        rollback(site)


def test_after_a_rollback_the_records_are_new_again_and_the_number_is_not_used_twice(
    site: Site,
) -> None:
    go(site)
    rollback(site)
    make_log(site.root.parent / "more", range(200, 203))
    stand = Stand()
    result = go(site, stand, "more")
    assert len(dict(stand.calls)["train"]["focus"]) == 8
    assert open_champion(site).manifest.seq == 3
    assert open_champion(site).manifest.provenance["parent"]["name"] == "first"
    assert result.number == 2


# Killed at every durable step.


def killed_after(site: Site, replaces: int) -> bool:
    """Run a round in a child that dies, as by kill -9, before its N-th rename; False if it came to
    its end.
    """
    child = os.fork()
    if child == 0:
        real, left = os.replace, [replaces]

        def replace(*paths: Any) -> None:
            left[0] -= 1
            if left[0] < 0:
                os._exit(137)
            real(*paths)

        os.replace = replace  # type: ignore[assignment]
        try:
            run_round(site, [site.root.parent / "log"], training=Stand().steps())
        except BaseException:  # noqa: BLE001  # the child must not return into pytest
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 137)
    return code == 137


def check_nothing_is_corrupt(site: Site) -> None:
    open_champion(site).verify()
    for frame in site.frames():
        assert site.path(frame.image).is_file()
    load_rounds(site)
    for path in (site.root / "bundles").glob("[!.]*"):
        Bundle.open(path).verify()


def test_a_kill_before_every_rename_leaves_everything_whole_and_the_next_start_finishes(
    site: Site,
) -> None:
    pristine = site.root.parent / "pristine"
    shutil.copytree(site.root, pristine, symlinks=True)
    number = 0
    while True:
        shutil.rmtree(site.root)
        shutil.copytree(pristine, site.root, symlinks=True)
        if not killed_after(site, number):
            break
        check_nothing_is_corrupt(site)
        stand = Stand()
        done = open_champion(site).path.name != "first"
        assert go(site, stand).verdict == "published"
        assert not (done and stand.calls), (
            "killed between publishing and saying so, nothing is left to do"
        )
        check_nothing_is_corrupt(site)
        assert verdicts(site)[0] == "published"
        assert open_champion(site).manifest.seq == 2
        assert len(list((site.root / "bundles").glob("[!.]*"))) == 3, (
            "first, its successor, current"
        )
        assert not list(site.root.rglob("*.tmp")), "no leftovers"
        number += 1
    assert number > len(STEPS) + 5 + 5, "states, records, and the results of the steps"


def test_a_rollback_after_a_kill_between_publishing_and_saying_so_is_not_undone(site: Site) -> None:
    go(site)
    folder = site.root / "rounds/0001"
    table = read(folder / "state.json")
    del table["steps"]["publish"]
    table |= {"verdict": None, "reason": ""}
    write_json(folder / "state.json", table)
    rollback(site)
    with pytest.raises(
        AdaptError,
        match="nothing has changed since round 0001, which was published and rolled back",
    ):
        go(site)
    assert open_champion(site).path.name == "first"


def test_near_copies_do_not_make_a_round(site: Site) -> None:
    image = scene(100)[0]
    assert dhash(image) == dhash(scene(100)[0])
    make_log(site.root.parent / "again", range(100, 105))
    go(site)
    with pytest.raises(AdaptError, match="there are 0 new records but a round needs 3"):
        go(site, None, "again")


def test_the_gate_measures_against_the_shipped_counts(site: Site) -> None:
    result = go(site, Stand(challenger=FAIR))
    assert result.figures["difference"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert result.verdict == "published", "as good as the champion, on newer footage"
