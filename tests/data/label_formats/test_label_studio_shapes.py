"""Shapes of Label Studio that its samples do not have: turned ones, ellipses, key points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.data.label_formats.add_export import add_export
from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.mask_png import read_mask
from edgeseg.site import Site
from tests.data.label_formats.scenes import picture
from tests.helpers.footage import save_image

HEIGHT, WIDTH = 48, 64
CAR = 2


def mask_of(site: Site, folder: Path, *values: dict[str, Any]) -> tuple[Mask, list[str]]:
    """Add one picture with regions, whose first key names their kind."""
    sizes = {"original_width": WIDTH, "original_height": HEIGHT}
    result = [{"type": next(iter(value)), "value": value, **sizes} for value in values]
    task = {"data": {"image": "/data/scene.png"}, "annotations": [{"result": result}]}
    save_image(folder / "scene.png", picture(0))
    (folder / "export.json").write_text(json.dumps([task]))
    added = add_export(site, folder / "export.json", folder)
    (frame,) = site.frames()
    return read_mask(site.path(frame.mask or "")), added.notes


def test_a_turned_rectangle_turns_about_its_corner(site: Site, tmp_path: Path) -> None:
    """A quarter turn clockwise: what was right of the corner is below, what was below is left."""
    mask, _ = mask_of(
        site,
        tmp_path,
        {"rectanglelabels": ["car"], "x": 50, "y": 25, "width": 25, "height": 25, "rotation": 90},
    )
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[12 : 12 + 16, 32 - 12 : 32] = True
    assert ((mask == CAR) == expected).all()


def test_an_ellipse_lies_about_its_center(site: Site, tmp_path: Path) -> None:
    """Of 16 by 6 pixels, turned by a quarter: as high as it was wide."""
    shape = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 12.5, "rotation": 90}
    mask, _ = mask_of(site, tmp_path, {"ellipselabels": ["car"], **shape})
    rows, columns = np.nonzero(mask == CAR)
    assert (rows.min(), rows.max() + 1) == (24 - 16, 24 + 16)
    assert (columns.min(), columns.max() + 1) == (32 - 6, 32 + 6)
    assert abs(len(rows) - np.pi * 16 * 6) < 8


def test_what_has_no_area_is_told(site: Site, tmp_path: Path) -> None:
    _, notes = mask_of(
        site,
        tmp_path,
        {"rectanglelabels": ["car"], "x": 0, "y": 0, "width": 50, "height": 50},
        {"keypointlabels": ["wheel"], "x": 10, "y": 10, "width": 0.5},
        {"choices": ["sharp"]},
    )
    assert "1 regions of other kinds were left out: key points" in " ".join(notes)
