"""Rows of frames on the disk: kept as they are made, gone on with, made again where damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg.imaging.array_types import Image
from edgeseg.labelling.worth import frame_table
from edgeseg.labelling.worth.frame_table import FrameTable, Row
from edgeseg.progress import NullReporter
from edgeseg.site import Site
from tests.helpers.sites import make_site


class Maker:
    """Makes rows, and counts them; the `stop`-th raises."""

    def __init__(self, stop: int = 1000) -> None:
        self.made, self._stop = 0, stop

    def __call__(self, image: Image) -> Row:
        if self.made == self._stop:
            raise KeyboardInterrupt
        self.made += 1
        return np.asarray(image.mean((0, 1)), np.float32)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Twelve frames, and chunks of four rows."""
    monkeypatch.setattr(frame_table, "CHUNK", 4)
    return make_site(tmp_path)


def fill(site: Site, maker: Maker, name: str = "t") -> Row:
    table, frames = FrameTable(site, name), site.frames()
    table.fill(frames, maker, NullReporter(), "looking")
    return table.rows(frames)


def test_an_interrupted_start_is_gone_on_with(site: Site) -> None:
    first = Maker(stop=7)
    with pytest.raises(KeyboardInterrupt):
        fill(site, first)
    again = Maker()
    rows = fill(site, again)
    assert (first.made, again.made) == (7, 5)
    assert np.array_equal(rows, fill(site, Maker(stop=0)))


def test_a_damaged_chunk_is_made_again_and_others_are_kept(site: Site) -> None:
    rows = fill(site, Maker())
    chunk = sorted((site.root / "cache/worth/t").glob("*.npz"))[0]
    for damaged in (chunk.read_bytes()[:100], b"", b"PK\x03\x04" + bytes(50)):
        chunk.write_bytes(damaged)
        again = Maker()
        assert np.array_equal(fill(site, again), rows)
        assert again.made == 4


def test_tables_of_old_models_go(site: Site) -> None:
    for number in range(6):
        fill(site, Maker(), f"model-{number}")
    kept = {path.name for path in (site.root / "cache/worth").iterdir()}
    assert len(kept) == frame_table.MOST_TABLES and "model-5" in kept
