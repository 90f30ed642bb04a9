"""A round survives whatever happens to it: the champion is always a whole bundle, and the next
start goes on.
"""

from __future__ import annotations

import errno
import os
import shutil
from typing import Any

import pytest

from edgeseg.adapt.publish import open_champion
from edgeseg.adapt.round_runner import abandon, rollback, run_round
from edgeseg.adapt.round_state import STEPS, load_round, load_rounds
from edgeseg.adapt.round_status import list_rounds
from edgeseg.atomic_files import write_json
from edgeseg.bundle import Bundle
from edgeseg.errors import AdaptError, TrainError
from edgeseg.site import Site
from tests.helpers.rounds import (
    Interrupted,
    TrainingStandIns,
    interrupt_at,
    read,
    run_with,
    verdicts,
    with_config,
)


@pytest.mark.parametrize("place", ["pseudo-label", "train", "distill", "export", "compare"])
def test_a_round_goes_on_with_the_step_that_was_cut_off(site: Site, place: str) -> None:
    with pytest.raises(Interrupted):
        run_with(site, TrainingStandIns(before=interrupt_at(place)))
    assert open_champion(site).path.name == "first"
    stand_ins = TrainingStandIns()
    assert run_with(site, stand_ins, resume=True).verdict == "published"
    order = ["pseudo-label", "train", "distill", "export", "compare"]
    assert stand_ins.names() == order[order.index(place) :]


def test_a_step_that_was_cut_off_is_told_to_resume(site: Site) -> None:
    with pytest.raises(Interrupted):
        run_with(site, TrainingStandIns(before=interrupt_at("distill")))
    stand_ins = TrainingStandIns()
    run_with(site, stand_ins)
    assert dict(stand_ins.calls)["distill"]["resume"] is True


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
    with pytest.raises(Interrupted):
        run_with(site, TrainingStandIns(before=interrupt_at("compare")))
    path = site.root / "rounds/0001" / damaged
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    stand_ins = TrainingStandIns()
    assert run_with(site, stand_ins).verdict == "published"
    assert stand_ins.names()[0] == again
    assert load_round(site.root / "rounds/0001") is not None


def test_an_open_round_refuses_another_configuration_and_can_be_given_up(site: Site) -> None:
    with pytest.raises(Interrupted):
        run_with(site, TrainingStandIns(before=interrupt_at("train")))
    changed = with_config(site, train={"decoder_lr": 1e-4})
    with pytest.raises(AdaptError, match=r"round 0001 began with other values of train.decoder_lr"):
        run_with(changed)
    assert abandon(site).verdict == "abandoned"
    with pytest.raises(AdaptError, match="no round is open"):
        abandon(site)
    result = run_with(changed)
    assert (result.number, result.verdict) == (2, "published")
    assert verdicts(site) == ["abandoned", "published"]


def test_nothing_to_resume_is_told(site: Site) -> None:
    with pytest.raises(AdaptError, match="no round is open, so there is nothing to resume"):
        run_with(site, resume=True)
    run_with(site)
    with pytest.raises(AdaptError, match="nothing to resume"):
        run_with(site, resume=True)


def test_errors_of_a_step_pass_through_and_leave_the_round_open(site: Site) -> None:
    def fail(name: str) -> None:
        if name == "train":
            raise TrainError("the loss is not finite")

    with pytest.raises(TrainError):
        run_with(site, TrainingStandIns(before=fail))
    assert list_rounds(site)[0].step == "train"


def test_a_full_disk_is_one_sentence_and_the_round_goes_on_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(name: str) -> None:
        if name == "export":
            raise OSError(errno.ENOSPC, "No space left on device", "model.onnx")

    with pytest.raises(
        AdaptError,
        match=r"cannot go on with export: model.onnx cannot be written \(No space left on "
        r"device\); make room on its disk, then run `edgeseg adapt --resume`",
    ):
        run_with(site, TrainingStandIns(before=full))
    assert run_with(site, resume=True).verdict == "published"


def test_a_damaged_state_names_the_file(site: Site) -> None:
    with pytest.raises(Interrupted):
        run_with(site, TrainingStandIns(before=interrupt_at("train")))
    state = site.root / "rounds/0001/state.json"
    state.write_bytes(state.read_bytes()[:50])
    with pytest.raises(AdaptError, match=r"state.json cannot be read .* move .*0001 away"):
        run_with(site)


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
            run_round(site, [site.root.parent / "log"], training=TrainingStandIns().steps())
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
        stand_ins = TrainingStandIns()
        done = open_champion(site).path.name != "first"
        assert run_with(site, stand_ins).verdict == "published"
        assert not (done and stand_ins.calls), (
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
    run_with(site)
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
        run_with(site)
    assert open_champion(site).path.name == "first"
