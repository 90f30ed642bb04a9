"""A dozen of the random files of benchmarks/random_inputs.py: no crash, no loss untold."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.random_inputs import DAMAGES, judge, make_input
from tests.helpers.footage import new_site


def test_random_files_through_both_commands(
    tmp_path: Path, bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)
    site = new_site(tmp_path / "site", overrides=["data.near_duplicate=0"])
    damages = set()
    for seed in range(100, 114):
        place = tmp_path / str(seed)
        place.mkdir()
        path, drawn = make_input(place, seed)
        damages.add(drawn["damage"])
        assert judge(path, site, bundle_path, drawn)["fault"] == "", (seed, drawn)
    assert len(damages & {*DAMAGES}) >= 3


def test_a_file_is_made_again_from_its_number(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (first, drawn), (second, again) = (make_input(tmp_path / name, 7) for name in ("a", "b"))
    assert first.name == second.name and drawn == again
    assert first.stat().st_size == second.stat().st_size
