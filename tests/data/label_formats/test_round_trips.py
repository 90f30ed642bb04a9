"""What leaves in a label tool's format comes back: masks exactly, polygons almost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.data.label_formats.add_export import ExportOptions, add_export
from edgeseg.data.label_formats.export_labels import WRITERS, export_labels
from edgeseg.data.label_formats.writers.polygons import polygons_of
from edgeseg.errors import ConfigError, DataError
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.imaging.mask_png import read_mask
from edgeseg.imaging.resize import resize_mask
from edgeseg.site import Site
from tests.helpers.footage import new_site, save_image, scene

EXACT = ("coco", "cvat", "label-studio", "masks")


def rough_mask(seed: int) -> Mask:
    """Blobs of three classes with holes, specks, unlabelled stretches and parts at the border."""
    random = np.random.default_rng(seed)
    coarse = random.choice(np.array([0, 1, 2, IGNORE], np.uint8), (8, 10))
    mask = resize_mask(coarse, (96, 128))
    y, x = np.mgrid[:96, :128]
    mask[(y - 40) ** 2 + (x - 60) ** 2 < 30**2] = 1
    mask[(y - 40) ** 2 + (x - 60) ** 2 < 18**2] = IGNORE  # a hole with nothing in it
    mask[(y - 40) ** 2 + (x - 60) ** 2 < 9**2] = 2  # and an island in the hole
    mask[random.random(mask.shape) < 0.002] = 0
    mask[80, :] = 2  # a line of one pixel
    return mask


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Three frames with rough masks."""
    site = new_site(tmp_path / "site", ("sky", "water & <ice>", "bank"))
    for seed in range(3):
        save_image(tmp_path / "in" / "images" / f"{seed}.jpg", scene(seed))
        save_image(tmp_path / "in" / "masks" / f"{seed}.png", rough_mask(seed))
    add_labels(site, tmp_path / "in" / "images", tmp_path / "in" / "masks", "train")
    return site


@pytest.mark.parametrize("form", list(WRITERS))
def test_masks_come_back_into_another_site(site: Site, tmp_path: Path, form: str) -> None:
    assert export_labels(site, tmp_path / "out", form, site.frames()) == 3
    other = new_site(tmp_path / "other", ("bank", "sky", "water & <ice>"))  # in another order
    if form == "masks":  # which name no classes
        other = new_site(tmp_path / "same", site.config.class_names)
    assert add_export(other, tmp_path / "out", None, ExportOptions(split="train")).added == 3
    ids = [site.config.class_names.index(name) for name in other.config.class_names]
    back = np.array([*ids, *[IGNORE] * (256 - len(ids))], np.uint8)
    by_content = {frame.id.rpartition("-")[2]: frame for frame in other.frames()}
    for frame in site.frames():
        same = by_content[frame.id.rpartition("-")[2]]
        before = read_mask(site.path(frame.mask or ""))
        after = back[read_mask(other.path(same.mask or ""))]
        share = float((before == after).mean())
        assert share == 1 if form in EXACT else share >= 0.999


@pytest.mark.parametrize("form", list(WRITERS))
def test_the_site_itself_sees_what_changed(site: Site, tmp_path: Path, form: str) -> None:
    export_labels(site, tmp_path / "out", form, site.frames())
    result = add_export(site, tmp_path / "out")
    assert result.added == 0
    if form in EXACT:
        assert result.present == 3 and not result.updated


def test_polygons_keep_holes_parts_and_lines() -> None:
    for seed in range(4):
        mask = rough_mask(seed)
        polygons, drawn = polygons_of(mask)
        assert (drawn == mask).mean() >= 0.9995
        assert all(len(polygon.ring) >= 3 for polygon in polygons)
        assert drawn[40, 60] == 2 and drawn[40, 75] == IGNORE and (drawn[80] == 2).mean() > 0.99


def test_corners_are_few_where_borders_are_straight() -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[10:50, 20:70] = 1
    mask[np.add.outer(np.arange(60), np.arange(80)) > 110] = 2
    polygons, drawn = polygons_of(mask)
    assert (drawn == mask).mean() >= 0.9995
    assert sum(len(polygon.ring) for polygon in polygons) < 40


def test_a_folder_that_holds_something_is_left_alone(site: Site, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(DataError, match="is not empty"):
        export_labels(site, tmp_path / "out", "coco", site.frames())
    with pytest.raises(ConfigError, match="give one of labelme"):
        export_labels(site, tmp_path / "new", "photoshop", site.frames())
    with pytest.raises(DataError, match="no labelled frames"):
        export_labels(site, tmp_path / "new", "coco", [])


def test_files_are_what_the_tools_read(site: Site, tmp_path: Path) -> None:
    export_labels(site, tmp_path / "labelme", "labelme", site.frames())
    (first, *_) = sorted((tmp_path / "labelme").glob("*.json"))
    table = json.loads(first.read_text())
    assert {"version", "flags", "shapes", "imagePath", "imageData"} <= table.keys()
    assert Image.open(first.parent / table["imagePath"]).size == (128, 96)
    export_labels(site, tmp_path / "yolo", "yolo", site.frames())
    line = next((tmp_path / "yolo" / "labels").glob("*.txt")).read_text().splitlines()[0]
    values = [float(value) for value in line.split()]
    assert len(values) % 2 == 1 and all(0 <= value <= 1 for value in values[1:])
