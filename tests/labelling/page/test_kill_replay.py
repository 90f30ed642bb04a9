"""The short form of benchmarks/kill_label.py, which kills the server 50 times."""

from __future__ import annotations

from pathlib import Path

from benchmarks.kill_label import replay


def test_nothing_acknowledged_is_lost_by_kills(tmp_path: Path) -> None:
    result = replay(tmp_path / "site", kills=2, size=(48, 64), seed=3)
    assert result["acknowledged"] > 5
    assert result["lost or damaged"] == result["wrong masks in the site"] == 0
    assert result["left at the door"] == 0
