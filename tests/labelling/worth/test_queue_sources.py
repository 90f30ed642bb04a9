"""Which frames a queue holds: by source, without those that a person skipped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgeseg.atomic_files import write_json
from edgeseg.labelling.frame_marks import mark_frame
from edgeseg.labelling.worth.queue_sources import frames_of_source
from edgeseg.site import Frame, Site
from tests.helpers.sites import index_frame, make_site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One recording with a labelled frame at its start, one without, a log, a withheld frame."""
    site = make_site(tmp_path)
    labelled = dataclasses.replace(index_frame(0.0), split="labelled", mask="m.png")
    log = dataclasses.replace(index_frame(3.0, source="box:1"), origin="log")
    withheld = dataclasses.replace(index_frame(4.0, source="b.mp4"), withheld=True)
    beside = index_frame(1.0)
    site.save_frames([labelled, beside, index_frame(2.0, source="b.mp4"), log, withheld])
    return site


def ids(frames: list[Frame]) -> set[str]:
    return {frame.id for frame in frames}


def test_footage_and_log_are_unlabelled_frames_that_training_may_see(site: Site) -> None:
    assert ids(frames_of_source(site, "footage")) == {"cam-a.mp4-1.0", "cam-b.mp4-2.0"}
    assert ids(frames_of_source(site, "log")) == {"cam-box:1-3.0"}


def test_frames_beside_labelled_ones_do_not_judge(site: Site) -> None:
    assert ids(frames_of_source(site, "val")) == {"cam-b.mp4-2.0", "cam-box:1-3.0", "cam-b.mp4-4.0"}


def test_skipped_frames_are_in_no_queue_and_flagged_ones_in_their_own(site: Site) -> None:
    mark_frame(site, "cam-a.mp4-1.0", "skipped")
    mark_frame(site, "cam-a.mp4-0.0", "flagged")
    assert ids(frames_of_source(site, "footage")) == {"cam-b.mp4-2.0"}
    assert ids(frames_of_source(site, "flagged")) == {"cam-a.mp4-0.0"}


def test_a_round_waits_for_its_review_or_else_has_its_selection(site: Site) -> None:
    assert frames_of_source(site, "round") == []
    write_json(site.root / "rounds/0009/selected.json", {"frames": ["cam-a.mp4-1.0"]})
    write_json(site.root / "rounds/0010/selected.json", {"frames": ["cam-b.mp4-2.0", "gone"]})
    assert ids(frames_of_source(site, "round")) == {"cam-b.mp4-2.0"}
    write_json(site.root / "rounds/0010/review.json", {"frames": ["cam-box:1-3.0"]})
    assert ids(frames_of_source(site, "round")) == {"cam-box:1-3.0"}
    (site.root / "rounds/0010/review.json").write_text("torn")
    assert ids(frames_of_source(site, "round")) == {"cam-b.mp4-2.0"}
