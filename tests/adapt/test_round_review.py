"""A round waits until a person has seen its most valuable frames."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgeseg.adapt.round_review import review_that_waits
from edgeseg.adapt.round_state import load_round
from edgeseg.adapt.round_status import list_rounds
from edgeseg.atomic_files import write_json
from edgeseg.errors import AdaptError
from edgeseg.labelling.frame_marks import mark_frame
from edgeseg.labelling.worth import build_queue
from edgeseg.site import Site
from tests.helpers.rounds import (
    Interrupted,
    TrainingStandIns,
    add_frame,
    interrupt_at,
    read,
    run_with,
    with_config,
)


@pytest.fixture
def held(site: Site) -> Site:
    """A site whose round of five frames waits for three of them."""
    site = with_config(site, adapt={"review": 3})
    with pytest.raises(AdaptError, match="round 0001 waits for a person: of the 3 frames"):
        run_with(site)
    return site


def label(site: Site, frame_id: str) -> None:
    """Give a frame a mask, as the page does."""
    frames = site.frames()
    mask = add_frame(site, 999, "labelled").mask
    site.save_frames(
        dataclasses.replace(frame, mask=mask, split="labelled") if frame.id == frame_id else frame
        for frame in frames
    )


def test_a_round_waits_until_each_frame_was_labelled_or_skipped(held: Site) -> None:
    queue = build_queue(held, "round")
    assert len(queue) == 3 and all(entry.reasons for entry in queue)
    stand_ins = TrainingStandIns()
    label(held, queue[0].frame)
    mark_frame(held, queue[1].frame, "skipped")
    with pytest.raises(AdaptError, match=r"3 frames that are worth a look, 2 were labelled"):
        run_with(held, stand_ins, resume=True)
    assert [entry.frame for entry in build_queue(held, "round")] == [queue[2].frame]
    assert not stand_ins.calls, "nothing was predicted or trained"
    mark_frame(held, queue[2].frame, "skipped")
    assert run_with(held, stand_ins, resume=True).verdict == "published"
    state = load_round(held.root / "rounds/0001")
    assert state is not None and state.steps["review"].output == {"asked": 3, "labelled": 1}


def test_what_waits_is_told_with_the_command_to_type(held: Site) -> None:
    said = review_that_waits(held)
    assert "until 3 more frames were labelled" in said and "edgeseg label --queue round" in said
    assert [(entry.step, entry.review) for entry in list_rounds(held)] == [("review", 3)]
    for entry in build_queue(held, "round"):
        mark_frame(held, entry.frame, "skipped")
    assert review_that_waits(held).endswith("go on with `edgeseg adapt --resume`")
    run_with(held, resume=True)
    assert review_that_waits(held) == "" and list_rounds(held)[0].review is None


def test_a_round_that_waits_can_be_let_go(held: Site) -> None:
    unasked = with_config(held, adapt={"review": 0})
    assert run_with(unasked, resume=True).verdict == "published"


def test_the_number_may_be_raised_and_lowered_while_a_round_waits(held: Site) -> None:
    asked = read(held.root / "rounds/0001/review.json")["frames"]
    more = with_config(held, adapt={"review": 4})
    assert "until 4 more frames" in review_that_waits(more)
    with pytest.raises(AdaptError, match="of the 4 frames"):
        run_with(more, resume=True)
    longer = read(held.root / "rounds/0001/review.json")["frames"]
    assert longer[:3] == asked and len(set(longer)) == 4
    fewer = with_config(held, adapt={"review": 1})
    assert "until 1 more frames" in review_that_waits(fewer)
    mark_frame(held, asked[0], "skipped")
    assert "no frame waits any more" in review_that_waits(fewer)
    assert run_with(fewer, resume=True).verdict == "published"


def test_the_frames_stay_the_same_and_a_lost_list_is_made_again(held: Site) -> None:
    path = held.root / "rounds/0001/review.json"
    asked = read(path)["frames"]
    for damage in ("torn", None):
        path.unlink() if damage is None else path.write_text(damage)
        with pytest.raises(AdaptError, match="waits for a person"):
            run_with(held, resume=True)
        assert read(path)["frames"] == asked


def test_a_list_of_another_selection_is_not_believed(held: Site) -> None:
    write_json(held.root / "rounds/0001/review.json", {"frames": ["cam-0"]})
    with pytest.raises(AdaptError, match="of the 3 frames"):
        run_with(held, resume=True)


def test_rounds_without_the_step_go_on_where_they_were(site: Site) -> None:
    """As edgeseg without reviews left them."""
    with pytest.raises(Interrupted):
        run_with(site, TrainingStandIns(before=interrupt_at("distill")))
    path = site.root / "rounds/0001/state.json"
    table = read(path)
    del table["steps"]["review"]
    write_json(path, table)
    asking = with_config(site, adapt={"review": 3})
    stand_ins = TrainingStandIns()
    assert run_with(asking, stand_ins, resume=True).verdict == "published"
    assert stand_ins.names() == ["distill", "export", "compare"]


def test_alarms_name_frames_and_the_page_has_them(site: Site, tmp_path: Path) -> None:
    run_with(site)
    flagged = build_queue(site, "flagged")
    assert len(flagged) == 2
    assert all("alarm of round 0001: classes differ" in entry.reasons[0] for entry in flagged)
