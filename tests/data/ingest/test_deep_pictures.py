"""Pictures of more than 8 bits: one range for a site, chosen once, told, and kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.data.site_depth import load_site_depth
from edgeseg.errors import ConfigError, DataError
from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.site import Site
from tests.helpers.footage import file_contents, new_site, save_image, scene
from tests.helpers.pictures import deep_png, encoded, save_bytes, thermal, tiff


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def empty(tmp_path: Path) -> Site:
    return new_site(tmp_path / "site", ("cold", "warm"))


def with_rule(site: Site, rule: str) -> Site:
    return Site.open(site.root, [f"data.depth={json.dumps(rule)}"])


def counts(folder: Path, seeds: range, kind: str = "png") -> Path:
    for seed in seeds:
        write = deep_png if kind == "png" else tiff
        save_bytes(folder / f"{seed}.{kind}", write(thermal(seed)))
    return folder


def stored(site: Site) -> list[Any]:
    return [np.asarray(Image.open(site.path(frame.image))) for frame in site.frames()]


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_thermal_counts_fill_the_gray_levels(empty: Site, tmp_path: Path, kind: str) -> None:
    result = add_footage(empty, [counts(tmp_path / "day", range(6), kind)])
    depth = load_site_depth(empty)
    assert depth and depth.rule == "percentile" and result.kept == 6
    assert 6400 < depth.low < 7000 and 8500 < depth.high < 9100
    assert all(len(np.unique(picture)) > 100 for picture in stored(empty))
    assert len(result.notes) == 1 and str(depth.range) in result.notes[0]
    assert "6 pictures of more than 8 bits" in result.notes[0]


def test_later_pictures_take_the_range_of_the_first(empty: Site, tmp_path: Path) -> None:
    add_footage(empty, [counts(tmp_path / "day", range(3))])
    before = file_contents(empty.root)["depth.json"]
    warm = (thermal(9).astype(int) + 30_000).astype(np.uint16)
    result = add_footage(empty, [save_bytes(tmp_path / "warm.png", deep_png(warm))])
    assert file_contents(empty.root)["depth.json"] == before
    assert "100 % of their pixels lie outside" in result.notes[1]
    again = add_footage(empty, [tmp_path / "day"])
    assert (again.kept, again.present, again.notes) == (0, 3, [])


def test_full_range_pictures_keep_their_high_bytes(empty: Site, tmp_path: Path) -> None:
    values = scene(1)[..., 0].astype(np.uint16) * np.uint16(257)
    save_bytes(tmp_path / "a.png", deep_png(values))
    save_image(tmp_path / "masks" / "a.png", np.zeros((96, 128), np.uint8))
    result = add_labels(empty, tmp_path / "a.png", tmp_path / "masks" / "a.png", "val")
    depth = load_site_depth(empty)
    assert depth and (depth.rule, depth.range) == ("full", DepthRange.full(16))
    assert np.array_equal(stored(empty)[0][..., 0], values >> 8)
    assert any("0 to 65535" in note for note in result.notes)


def test_the_rule_can_be_chosen(tmp_path: Path) -> None:
    day = counts(tmp_path / "day", range(2))
    full = with_rule(new_site(tmp_path / "full"), "full")
    notes = add_footage(full, [day]).notes
    assert "use 7 of 256 gray levels" in notes[1] and "percentile" in notes[1]
    refusing = with_rule(new_site(tmp_path / "refusing"), "8bit")
    with pytest.raises(DataError, match=r'data\.depth = "8bit" refuses'):
        add_footage(refusing, [day])
    assert load_site_depth(refusing) is None and refusing.frames() == []
    with pytest.raises(ConfigError, match=r'data.depth = "percentile", but .* by full'):
        add_footage(with_rule(full, "percentile"), [day])


def test_floats_go_by_their_own_range(empty: Site, tmp_path: Path) -> None:
    degrees = (thermal(0) / 100 - 50).astype(np.float32)
    path = save_bytes(tmp_path / "a.tif", tiff(degrees))
    with pytest.raises(DataError, match="have no full range"):
        add_footage(with_rule(empty, "full"), [path])
    add_footage(empty, [path])
    depth = load_site_depth(empty)
    assert depth and depth.floating and depth.low < 20 < 35 < depth.high
    with pytest.raises(DataError, match="holds integers, but the range of deep pictures"):
        add_footage(empty, [save_bytes(tmp_path / "b.png", deep_png(thermal(1)))])


def test_refused_labels_fix_no_range(empty: Site, tmp_path: Path) -> None:
    counts(tmp_path / "images", range(2))
    for seed in range(2):
        save_image(tmp_path / "masks" / f"{seed}.png", np.full((96, 128), 9 * seed, np.uint8))
    with pytest.raises(DataError, match="class ids 9"):
        add_labels(empty, tmp_path / "images", tmp_path / "masks")
    assert not (empty.root / "depth.json").exists()


def test_pages_and_frames_beyond_the_first_are_told(empty: Site, tmp_path: Path) -> None:
    pages = [Image.fromarray(scene(seed)) for seed in range(3)]
    for kind in ("tif", "webp", "png"):
        name = {"tif": "TIFF"}.get(kind, kind.upper())
        data = encoded(pages[0], name, save_all=True, append_images=pages[1:])
        save_bytes(tmp_path / "many" / f"a.{kind}", data)
    result = add_footage(empty, [tmp_path / "many"])
    names = "a.png, a.tif, a.webp"
    assert result.notes == [f"of {names} the first page or frame was used, there are more"]
    assert result.read == 3 and np.abs(stored(empty)[0].astype(int) - scene(0)).mean() < 8


def test_a_damaged_range_is_named(empty: Site, tmp_path: Path) -> None:
    path = save_bytes(tmp_path / "a.png", deep_png(thermal(0)))
    for text in ("x", '{"format": 2}', '{"rule": "full", "low": 5, "high": 5}'):
        (empty.root / "depth.json").write_text(text)
        with pytest.raises(DataError, match=r"depth\.json cannot be used"):
            add_footage(empty, [path])
