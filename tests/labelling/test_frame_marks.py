"""Marks of frames: the last one holds, and a line that a kill cut off costs only itself."""

from __future__ import annotations

from pathlib import Path

from edgeseg.labelling.frame_marks import mark_frame, read_marks
from edgeseg.site import Site
from tests.helpers.sites import make_site


def test_the_last_mark_of_a_frame_holds(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    assert read_marks(site) == {}
    mark_frame(site, "a", "skipped")
    mark_frame(site, "b", "flagged")
    mark_frame(site, "a", "cleared")
    mark_frame(site, "c", "skipped")
    mark_frame(site, "c", "flagged")
    assert read_marks(site) == {"b": "flagged", "c": "flagged"}


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    site: Site = make_site(tmp_path)
    mark_frame(site, "a", "skipped")
    path = site.root / "labelling" / "marks.jsonl"
    path.write_bytes(path.read_bytes() + b'{"frame": "b", "ma')
    mark_frame(site, "c", "skipped")
    assert read_marks(site) == {"a": "skipped", "c": "skipped"}
