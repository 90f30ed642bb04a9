"""Drafts: nothing drawn is lost, nobody overwrites another, and finished masks reach the site."""

from __future__ import annotations

import json
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.atomic_files import lock_folder
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.imaging.mask_png import read_mask
from edgeseg.labelling.drafts.draft_leases import LEASE_SECONDS, DraftConflictError, DraftLeases
from edgeseg.labelling.drafts.draft_store import DraftStore
from edgeseg.labelling.drafts.finished_masks import FinishedMasks
from edgeseg.labelling.drafts.journal import Journal
from edgeseg.labelling.drafts.mask_edits import Box, EditedMask
from edgeseg.labelling.drafts.mask_runs import encode_text
from edgeseg.labelling.drafts.predictions import Predictions
from edgeseg.labelling.drafts.site_masks import digest_of
from edgeseg.labelling.starting_masks import StartingMask
from edgeseg.site import Frame, Site
from tests.labelling.label_sites import (
    edit,
    empty,
    make_label_site,
    open_store,
    other,
    write_site_mask,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_label_site(tmp_path / "pond")


@pytest.fixture
def frame_id(site: Site) -> str:
    return site.frames()[0].id


def test_steps_and_undo_survive_a_restart(site: Site, frame_id: str) -> None:
    store = open_store(site)
    store.write(frame_id, "tab", edit(0, "a", (2, 3, 10, 4), 1))
    store.write(frame_id, "tab", edit(1, "b", (0, 0, 20, 20), 2))
    store.write(frame_id, "tab", other("undo", 2, "c"))
    expected = empty()
    expected[3:7, 2:12] = 1

    again = open_store(site).open(frame_id)
    assert np.array_equal(again.edits.mask, expected)
    assert again.revision == 3 and len(again.edits.redo_steps) == 1
    store = open_store(site)
    store.write(frame_id, "tab", other("redo", 3, "d"))
    store.write(frame_id, "tab", other("undo", 4, "e"))
    store.write(frame_id, "tab", other("undo", 5, "f"))
    assert np.array_equal(open_store(site).open(frame_id).edits.mask, empty())


def test_the_parts_of_a_long_stroke_are_one_step(site: Site, frame_id: str) -> None:
    store = open_store(site)
    store.write(frame_id, "tab", edit(0, "a", (0, 0, 9, 9), 2))
    store.write(frame_id, "tab", edit(1, "b", (0, 20, 9, 9), 1))
    for part in range(3):
        joined = {**edit(2 + part, f"c{part}", (9 + 9 * part, 20, 9, 9), 1), "joined": True}
        store.write(frame_id, "tab", joined)
    whole = store.open(frame_id).edits.mask.copy()
    store.write(frame_id, "tab", other("undo", 5, "d"))
    store = open_store(site)  # replayed from the journal
    assert np.unique(store.open(frame_id).edits.mask).tolist() == [2, IGNORE]
    store.write(frame_id, "tab", other("redo", 6, "e"))
    assert np.array_equal(open_store(site).open(frame_id).edits.mask, whole)
    assert store.open(frame_id).steps == {"brush": 2}


def test_a_step_whose_answer_was_lost_counts_once(site: Site, frame_id: str) -> None:
    store = open_store(site)
    for _ in range(3):
        assert store.write(frame_id, "tab", edit(0, "a", (0, 0, 4, 4), 1)).revision == 1
    again = open_store(site)  # the server was killed before it answered
    assert again.write(frame_id, "tab", edit(0, "a", (0, 0, 4, 4), 1)).revision == 1


def test_two_tabs_cannot_overwrite_each_other(site: Site, frame_id: str) -> None:
    store = open_store(site)
    store.write(frame_id, "one", edit(0, "a", (0, 0, 4, 4), 1))
    with pytest.raises(DraftConflictError, match="Ada draws on this frame in another tab") as held:
        store.write(frame_id, "two", edit(1, "b", (0, 0, 4, 4), 2))
    assert held.value.kind == "held"
    store.leases.take(frame_id, "two", "Bob", by_force=True)
    store.write(frame_id, "two", {**edit(1, "b", (0, 0, 4, 4), 2), "person": "Bob"})
    store.leases.release(frame_id, "two")
    with pytest.raises(DraftConflictError, match="Bob has changed this frame") as stale:
        store.write(frame_id, "one", edit(1, "c", (0, 0, 4, 4), 0))
    assert (stale.value.kind, stale.value.person) == ("stale", "Bob")
    assert store.open(frame_id).edits.mask[0, 0] == 2


def test_a_lease_ends_by_itself() -> None:
    now = [0.0]
    leases = DraftLeases(lambda: now[0])
    leases.take("f", "one", "Ada")
    now[0] = LEASE_SECONDS - 1
    assert leases.holder("f", "two") == "Ada" and leases.holder("f", "one") is None
    leases.release("f", "two")  # not its own
    assert leases.holder("f", "two") == "Ada"
    now[0] = LEASE_SECONDS + 1
    leases.take("f", "two", "Bob")
    assert leases.holder("f", "one") == "Bob"


@pytest.mark.parametrize(
    ("box", "class_id", "reason"),
    [
        ((60, 0, 10, 10), 1, "leads out of the 64x48 mask"),
        ((0, 47, 1, 2), 1, "leads out"),
        ((-1, 0, 4, 4), 1, "leads out"),
        ((0, 0, 4, 4), 3, "class 3 but the site has 3 classes"),
        ((0, 0, 4, 4), 254, "class 254"),
    ],
)
def test_impossible_steps_are_refused_and_not_kept(
    site: Site, frame_id: str, box: tuple[int, int, int, int], class_id: int, reason: str
) -> None:
    store = open_store(site)
    with pytest.raises(DataError, match=reason):
        store.write(frame_id, "tab", edit(0, "a", box, class_id))
    assert not list((site.root / "labelling" / "drafts").glob("*"))
    with pytest.raises(DataError, match="no step to take back"):
        store.write(frame_id, "tab", other("undo", 0, "b"))
    assert store.open(frame_id).revision == 0


def test_a_draft_of_classes_that_are_gone_is_told(site: Site, frame_id: str) -> None:
    open_store(site).write(frame_id, "tab", edit(0, "a", (0, 0, 4, 4), 2))
    toml = (site.root / "edgeseg.toml").read_text()
    (site.root / "edgeseg.toml").write_text(toml.rpartition("[[classes]]")[0])
    with pytest.raises(DataError, match=r"\.journal does not fit the site any more"):
        open_store(Site.open(site.root)).open(frame_id)


def test_a_mask_that_the_site_cannot_take_holds_no_other_back(site: Site) -> None:
    first, second = [frame.id for frame in site.frames()][:2]
    finished = FinishedMasks(site)
    store = DraftStore(site, Predictions(site), finished)
    for frame_id in (first, second):
        store.write(frame_id, "tab", edit(0, "a", (0, 0, 30, 20), 2))
        store.write(frame_id, "tab", other("finish", 1, "b"))
    site.path(store.frames.find(first).image).write_bytes(b"damaged")
    finished.start()
    left = finished.close()
    assert left.waiting == (first,) and left.trouble
    assert store.frames.find(second).mask is not None
    again = FinishedMasks(site)
    assert again.state().waiting == (first,)


def test_an_unknown_frame_is_refused(site: Site) -> None:
    with pytest.raises(DataError, match="no frame of this id"):
        open_store(site).open("../../edgeseg")


def finish_all(store: DraftStore, finished: FinishedMasks) -> None:
    finished.start()
    deadline = time.monotonic() + 20
    while store.waiting() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_finished_mask_becomes_the_sites_label(site: Site, frame_id: str) -> None:
    finished = FinishedMasks(site)
    store = DraftStore(site, Predictions(site), finished)
    store.write(frame_id, "tab", edit(0, "a", (0, 0, 30, 20), 1))
    store.write(frame_id, "tab", edit(1, "b", (10, 10, 30, 20), 2))
    store.write(frame_id, "tab", other("finish", 2, "c"))
    assert store.waiting() == (frame_id,) and not store.unfinished()
    finish_all(store, finished)
    finished.close()
    frame = store.frames.find(frame_id)
    assert frame.mask is not None and frame.split == "labelled"
    expected = empty()
    expected[0:20, 0:30] = 1
    expected[10:30, 10:40] = 2
    assert np.array_equal(read_mask(site.path(frame.mask)), expected)
    assert not list((site.root / "labelling" / "finished").iterdir())
    (line,) = (site.root / "labelling" / "history.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert record["frame"] == frame_id and record["person"] == "Ada"
    assert record["origin"] == "empty" and record["steps"] == {"brush": 2}
    assert record["changed"] == pytest.approx((expected != IGNORE).mean(), abs=1e-6)


def test_ids_are_never_guessed_at(site: Site, frame_id: str) -> None:
    """What `edgeseg add labels` would ask about is what was drawn: one class and 255 alone."""
    finished = FinishedMasks(site)
    store = DraftStore(site, Predictions(site), finished)
    store.write(frame_id, "tab", edit(0, "a", (0, 0, 30, 20), 2))
    store.write(frame_id, "tab", other("finish", 1, "b"))
    finish_all(store, finished)
    assert finished.close().trouble == ""
    frame = store.frames.find(frame_id)
    assert frame.mask is not None
    assert np.unique(read_mask(site.path(frame.mask))).tolist() == [2, IGNORE]


def test_a_mask_waits_while_another_process_adds_to_the_site(site: Site, frame_id: str) -> None:
    finished = FinishedMasks(site)
    store = DraftStore(site, Predictions(site), finished)
    with lock_folder(site.root / "frames"):
        store.write(frame_id, "tab", edit(0, "a", (0, 0, 30, 20), 2))
        store.write(frame_id, "tab", other("finish", 1, "b"))
        finished.start()
        left = finished.close()
        assert left.waiting == (frame_id,) and "in use by another edgeseg process" in left.trouble
    again = FinishedMasks(site)  # the next start
    assert again.state().waiting == (frame_id,)
    again.start()
    assert again.close().waiting == ()
    assert open_store(site).frames.find(frame_id).mask is not None
    assert len((site.root / "labelling" / "history.jsonl").read_text().splitlines()) == 1


def test_nothing_labelled_is_no_label(site: Site, frame_id: str) -> None:
    store = open_store(site)
    store.write(frame_id, "tab", edit(0, "a", (0, 0, 3, 3), 2))
    store.write(frame_id, "tab", other("undo", 1, "b"))
    with pytest.raises(DataError, match="no pixel of this frame is labelled"):
        store.write(frame_id, "tab", other("finish", 2, "c"))
    assert store.unfinished() == {frame_id}


def test_a_frame_begins_with_its_prediction(
    site: Site, frame_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    predicted = empty()
    predicted[:20] = 1

    def of(self: Predictions, frame: Frame) -> StartingMask:
        return StartingMask(predicted, np.zeros(predicted.shape, np.float32), "edge exp1")

    monkeypatch.setattr(Predictions, "of", of)
    store = open_store(site)
    draft = store.open(frame_id)
    assert (draft.origin, draft.model) == ("prediction", "edge exp1")
    store.write(frame_id, "tab", edit(0, "a", (0, 0, 3, 3), 2))
    monkeypatch.undo()  # the model is gone; the draft knows what it began with
    again = open_store(site).open(frame_id)
    assert again.origin == "prediction" and np.array_equal(again.edits.start, predicted)
    assert again.edits.mask[0, 0] == 2 and again.edits.mask[19, 63] == 1


def test_a_first_step_is_done_on_the_prediction_that_the_tab_shows(
    site: Site, frame_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer model may predict other things by the time of the first step."""
    predicted = empty()

    def of(self: Predictions, frame: Frame) -> StartingMask:
        return StartingMask(predicted.copy(), np.zeros(predicted.shape, np.float32), "exp1")

    monkeypatch.setattr(Predictions, "of", of)
    monkeypatch.setattr("edgeseg.labelling.drafts.draft_store.MOST_OPEN", 1)
    store = open_store(site)
    predicted[:] = 1
    beginning = digest_of(store.open(frame_id).edits.start)
    predicted[:] = 2
    store.open(site.frames()[1].id)  # the first frame's draft is let go
    assert store.open(frame_id).edits.start[0, 0] == 2
    first = {**edit(0, "a", (0, 0, 3, 3), 0), "beginning": beginning}
    with pytest.raises(DraftConflictError, match="send what you show"):
        store.write(frame_id, "tab", first)
    shown = np.ones((48, 64), np.uint8)
    with pytest.raises(DataError, match="is damaged"):
        store.write(frame_id, "tab", {**first, "start": started(shown * 0)})
    store = open_store(site)  # started again since
    store.write(frame_id, "tab", {**first, "start": started(shown)})
    mask = open_store(site).open(frame_id).edits.mask
    assert mask[0, 0] == 0 and mask[40, 40] == 1
    assert "beginning" not in Path(site.root / f"labelling/drafts/{frame_id}.journal").read_text()


def started(mask: Mask) -> dict[str, str]:
    return {"runs": encode_text(mask), "origin": "prediction", "model": "exp1"}


def test_a_finished_draft_follows_the_sites_mask(site: Site, frame_id: str) -> None:
    finished = FinishedMasks(site)
    store = DraftStore(site, Predictions(site), finished)
    store.write(frame_id, "tab", edit(0, "a", (0, 0, 30, 20), 2))
    store.write(frame_id, "tab", other("finish", 1, "b"))
    finish_all(store, finished)
    finished.close()
    mask = np.zeros((48, 64), np.uint8)
    write_site_mask(site, frame_id, mask)
    draft = open_store(site).open(frame_id)
    assert np.array_equal(draft.edits.mask, mask)
    draft.edits.undo()  # and what was drawn is not lost
    assert draft.edits.mask[0, 0] == 2


def test_a_label_of_the_site_is_what_its_frame_begins_with(site: Site, frame_id: str) -> None:
    mask = np.ones((48, 64), np.uint8)
    write_site_mask(site, frame_id, mask)
    draft = open_store(site).open(frame_id)
    assert draft.origin == "label" and np.array_equal(draft.edits.mask, mask)


def test_a_draft_follows_a_label_that_came_meanwhile(site: Site, frame_id: str) -> None:
    store = open_store(site)
    store.write(frame_id, "tab", edit(0, "a", (0, 0, 30, 20), 2))
    imported = np.ones((48, 64), np.uint8)
    write_site_mask(site, frame_id, imported)
    with pytest.raises(DraftConflictError, match="the site has changed this frame"):
        store.write(frame_id, "tab", other("finish", 1, "b"))
    assert not store.waiting() and not store.unfinished()
    for each in (store, open_store(site)):  # as it is, and replayed
        draft = each.open(frame_id)
        assert np.array_equal(draft.edits.mask, imported) and draft.revision == 2
    store.write(frame_id, "tab", other("undo", 2, "c"))
    again = open_store(site).open(frame_id)  # what was drawn is there, and stays
    assert again.edits.mask[0, 0] == 2 and again.revision == 3
    store.write(frame_id, "tab", other("finish", 3, "d"))
    assert store.waiting() == (frame_id,)


def test_nothing_drawn_begins_with_a_label_that_came_meanwhile(site: Site, frame_id: str) -> None:
    store = open_store(site)
    assert store.open(frame_id).origin == "empty"
    write_site_mask(site, frame_id, np.ones((48, 64), np.uint8))
    with pytest.raises(DraftConflictError, match="another label of this frame"):
        store.write(frame_id, "tab", edit(0, "a", (0, 0, 4, 4), 2))
    assert store.open(frame_id).origin == "label" and not store.unfinished()


def test_drafts_without_digests_go_on_as_they_were(site: Site, frame_id: str) -> None:
    """As edgeseg before digests left them."""
    store = open_store(site)
    store.write(frame_id, "tab", edit(0, "a", (0, 0, 30, 20), 2))
    path = site.root / f"labelling/drafts/{frame_id}.journal"
    events = Journal(path).events
    del events[0]["site"]
    path.unlink()
    Journal(path).append(events)
    write_site_mask(site, frame_id, np.ones((48, 64), np.uint8))
    draft = open_store(site).open(frame_id)
    assert draft.revision == 1 and draft.edits.mask[0, 0] == 2


@pytest.mark.parametrize("again", [False, True])
def test_a_waiting_mask_does_not_replace_a_newer_label(
    site: Site, frame_id: str, again: bool
) -> None:
    finished = FinishedMasks(site)
    store = DraftStore(site, Predictions(site), finished)
    store.write(frame_id, "tab", edit(0, "a", (0, 0, 30, 20), 2))
    store.write(frame_id, "tab", other("finish", 1, "b"))
    if again:  # drawn on while it waited
        store.write(frame_id, "tab", edit(2, "c", (0, 0, 9, 9), 1))
        store.write(frame_id, "tab", other("finish", 3, "d"))
    imported = np.ones((48, 64), np.uint8)
    write_site_mask(site, frame_id, imported)
    finished = FinishedMasks(site)  # the next start
    finished.start()
    left = finished.close()
    assert not left.waiting and "got another label" in left.notes[0]
    frame = store.frames.find(frame_id)
    assert frame.mask is not None and np.array_equal(read_mask(site.path(frame.mask)), imported)
    assert np.array_equal(open_store(site).open(frame_id).edits.mask, imported)


def test_a_mask_that_was_drawn_on_while_it_waited_reaches_the_site(
    site: Site, frame_id: str
) -> None:
    finished = FinishedMasks(site)
    store = DraftStore(site, Predictions(site), finished)
    store.write(frame_id, "tab", edit(0, "a", (0, 0, 30, 20), 2))
    store.write(frame_id, "tab", other("finish", 1, "b"))
    store.write(frame_id, "tab", edit(2, "c", (0, 0, 9, 9), 1))
    store.write(frame_id, "tab", other("finish", 3, "d"))
    finish_all(store, finished)
    assert finished.close().waiting == ()
    store.write(frame_id, "tab", edit(4, "e", (0, 30, 9, 9), 1))  # its own label is no news
    frame = store.frames.find(frame_id)
    assert frame.mask is not None and read_mask(site.path(frame.mask))[0, 0] == 1


def test_a_fault_of_the_door_is_told_and_the_next_mask_goes_in(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [frame.id for frame in site.frames()][:2]
    finished = FinishedMasks(site)
    store = DraftStore(site, Predictions(site), finished)
    for frame_id in (first, second):
        store.write(frame_id, "tab", edit(0, "a", (0, 0, 30, 20), 2))
        store.write(frame_id, "tab", other("finish", 1, "b"))
    image = site.path(store.frames.find(first).image)

    def add_labels_of_others(*arguments: Any, **more: Any) -> Any:
        if arguments[1] == image:
            raise RuntimeError("a bug")
        return add_labels(*arguments, **more)

    monkeypatch.setattr("edgeseg.labelling.drafts.finished_masks.add_labels", add_labels_of_others)
    finished.start()
    left = finished.close()
    assert left.waiting == (first,) and "RuntimeError: a bug" in left.trouble
    assert store.frames.find(second).mask is not None


def test_a_long_stroke_is_forgotten_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.labelling.drafts.mask_edits.MOST_STEPS", 4)
    edits = EditedMask(empty(), 3)
    marks = []
    for part in range(7):  # a step, a stroke of three parts, and three steps
        box = Box(0, part, 8, 1)
        runs = encode_text(np.ones((1, 8), np.uint8))
        edits.apply(edits.step(box, runs, "brush", joined=part in (2, 3)))
        marks.append(len(edits.undo_steps))
    assert marks == [1, 2, 3, 4, 4, 5, 6]
    for _ in range(4):
        edits.undo()
    assert not edits.undo_steps
    assert (edits.mask[0, :8] == 1).all() and (edits.mask[1:] == IGNORE).all()
    page = files("edgeseg.labelling.page") / "static/mask.js"
    assert "MOST_STEPS = 400;" in page.read_text()
