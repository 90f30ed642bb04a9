"""Damaged lines about frames that came home are passed over, whatever they hold."""

from __future__ import annotations

from pathlib import Path

from edgeseg.labelling.browse.device_records import read_device_records
from edgeseg.site import Site
from tests.labelling.label_sites import make_label_site


def test_damaged_lines_are_passed_over(tmp_path: Path) -> None:
    site: Site = make_label_site(tmp_path / "pond", frames=1)
    lines = [
        '{"frame": "a", "score": 1' + 400 * "0" + "}",
        100_000 * "[",
        '{"frame": "b", "score": "high"}',
        '{"frame": "c", "score": 0.5, "device": "box-7"}',
    ]
    (site.root / "rounds").mkdir()
    (site.root / "rounds" / "records.jsonl").write_text("\n".join(lines))
    records = read_device_records(site)
    assert list(records) == ["c"] and records["c"].score == 0.5
