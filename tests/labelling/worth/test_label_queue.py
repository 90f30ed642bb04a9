"""The queue: every frame once, far apart first."""

from __future__ import annotations

from pathlib import Path

from edgeseg.labelling.starting_masks import StartingMasks
from edgeseg.labelling.worth import build_queue, needs
from tests.helpers.sites import make_site


def test_every_unlabelled_frame_is_queued_once_with_a_reason(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    queue = build_queue(site)
    assert sorted(entry.frame for entry in queue) == ["f4", "f5", "f6", "f7", "f8"]
    worths = [entry.worth for entry in queue]
    assert worths == sorted(worths, reverse=True) and min(worths) >= 0
    assert all(entry.reasons for entry in queue)
    assert build_queue(site, limit=2) == queue[:2]


def test_needs_are_those_of_val_and_gate(tmp_path: Path) -> None:
    said = " ".join(needs(make_site(tmp_path)))
    assert "val has 3 frames" in said and "gate has 0 frames" in said


def test_a_site_without_a_model_has_nothing_to_start_from(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    assert StartingMasks(site).of(site.frames()[0]) is None
