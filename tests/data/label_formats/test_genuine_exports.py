"""Exports that the label tools' own packages wrote (make_samples.py): every pixel is right.

Where a tool draws polygons through the centers of border pixels, or counts the borders as inside,
its own package loses or gains them, and a share is given instead.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeseg.data.ingest.add_labels import AddLabelsResult
from edgeseg.data.label_formats.add_export import ExportOptions, add_export
from edgeseg.imaging.decoding.picture_reader import PictureReader
from edgeseg.imaging.mask_png import read_mask
from edgeseg.site import Site
from tests.data.label_formats.scenes import NUMBERS, picture, truth
from tests.helpers.footage import new_site

SAMPLES = Path(__file__).parent / "samples"


def add(site: Site, name: str, images: str = "", **options: object) -> AddLabelsResult:
    where = SAMPLES / images if images else None
    chosen = ExportOptions(split="train", **options)  # type: ignore[arg-type]  # by the caller
    return add_export(site, SAMPLES / name, where, chosen)


def agreement(site: Site) -> list[float]:
    """The share of right pixels of each scene, found by the pictures themselves."""
    shares = []
    for number in NUMBERS:
        frame = next(
            frame
            for frame in site.frames("labelled")
            if np.array_equal(PictureReader().read(site.path(frame.image)), picture(number))
        )
        shares.append(float((read_mask(site.path(frame.mask or "")) == truth(number)).mean()))
    return shares


@pytest.mark.parametrize(
    ("export", "images"),
    [
        ("labelme", ""),
        ("coco-polygon", ""),
        ("coco-rle", ""),
        ("coco-rle/annotations.json", ""),
        ("coco-datumaro", ""),
        ("coco-panoptic", ""),
        ("cvat-images-mask", ""),
        ("cvat-images-polygon", ""),
        ("cvat-mask.zip", ""),
        ("camvid", ""),
        ("datumaro-mask", ""),
        ("datumaro-polygon", ""),
        ("label-studio", ""),
        ("label-studio/export.json", "label-studio/images"),
        ("label-studio-png", ""),
        ("yolo", ""),
        ("roboflow", ""),
        ("roboflow/train", ""),
        ("palette", ""),
        ("mmseg", ""),
        ("supervisely", ""),
        ("supervisely-masks", ""),
    ],
)
def test_pixels_are_right(site: Site, export: str, images: str) -> None:
    result = add(site, export, images)
    assert result.added == 3 and result.splits == {"labelled": 3}
    assert agreement(site) == [1, 1, 1]


def test_cityscapes_by_each_of_its_files(tmp_path: Path) -> None:
    """cityscapesScripts draws polygons by Pillow, with their borders: all files alike, ours too."""
    names = ("sky", "road", "car")
    for kind in ("labelIds", "labelTrainIds", "color", "polygons"):
        site = new_site(tmp_path / kind, names)
        folder = tmp_path / f"in-{kind}"
        for path in sorted((SAMPLES / "cityscapes").rglob("*.*")):
            if path.stem.endswith((kind, "leftImg8bit")):
                copied = folder / path.relative_to(SAMPLES / "cityscapes")
                copied.parent.mkdir(parents=True, exist_ok=True)
                copied.write_bytes(path.read_bytes())
        result = add_export(site, folder, None, ExportOptions(split="train"))
        assert result.added == 3
        assert min(agreement(site)) > (0.999 if kind == "polygons" else 0.96)


def test_license_plates_are_the_cars_they_are_on(tmp_path: Path) -> None:
    """Their id is -1, and cityscapesScripts does not draw such."""
    site = new_site(tmp_path / "site", ("sky", "road", "car"))
    shutil.copytree(SAMPLES / "cityscapes", tmp_path / "in")
    for path in (tmp_path / "in" / "gtFine").rglob("*.png"):
        path.unlink()
    for path in (tmp_path / "in" / "gtFine").rglob("*_polygons.json"):
        table = json.loads(path.read_text())
        plate = [[2, 2], [40, 2], [40, 20], [2, 20]]
        table["objects"].append({"label": "license plate", "polygon": plate})
        path.write_text(json.dumps(table))
    assert add_export(site, tmp_path / "in", None, ExportOptions(split="train")).added == 3
    assert min(agreement(site)) > 0.999


@pytest.mark.parametrize("name", ["datumaro-polygon", "supervisely"])
def test_shapes_without_area_are_told(site: Site, tmp_path: Path, name: str) -> None:
    shutil.copytree(SAMPLES / name, tmp_path / "in")
    for path in (tmp_path / "in").rglob("*.json"):
        table = json.loads(path.read_text())
        if name == "supervisely" and "objects" in table:
            table["objects"].append({"geometryType": "line", "classTitle": "road"})
        for item in table.get("items", []):
            item["annotations"].append({"type": "polyline", "label_id": 0, "points": [1, 1, 5, 5]})
        path.write_text(json.dumps(table))
    notes = add_export(site, tmp_path / "in", None, ExportOptions(split="train")).notes
    assert any(note.startswith("3 lines") and "left out" in note for note in notes)


def test_polygons_of_ultralytics(site: Site) -> None:
    """Its converter draws through the centers of border pixels and fills holes: its own loss."""
    result = add(site, "yolo-ultralytics")
    assert result.added == 3 and min(agreement(site)) > 0.9


@pytest.mark.parametrize("name", ["supervision-yolo", "supervision-labelme"])
def test_polygons_of_supervision(site: Site, name: str) -> None:
    """It wrote whole parts: all is background, and the road without the cars."""
    assert add(site, name).added == 3
    for number in NUMBERS:
        for frame in site.frames("labelled"):
            if np.array_equal(PictureReader().read(site.path(frame.image)), picture(number)):
                mask, right = read_mask(site.path(frame.mask or "")), truth(number)
                inside = (right == 1) & (np.arange(64) < 50)
                assert (mask[inside] == 1).mean() > 0.9
                assert (mask[:8] == 0).mean() > 0.9
