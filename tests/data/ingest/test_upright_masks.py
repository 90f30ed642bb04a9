"""Masks of images that an EXIF tag turns: drawn upright, or on the stored pixels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.data.ingest.upright_masks import exif_orientation, turn_mask
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Mask
from tests.helpers.footage import new_site, save_image, scene

STORED = np.array([[0, 1, 2], [2, 1, 1]], np.uint8)


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def save_turned(path: Path, pixels: np.ndarray, orientation: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tag = Image.Exif()
    tag[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=tag)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_turn_as_pictures_do(tmp_path: Path, orientation: int) -> None:
    path = save_turned(tmp_path / "a.png", STORED, orientation)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert exif_orientation(path.read_bytes()) == orientation
    assert (turn_mask(STORED, orientation) == upright).all()


def test_what_is_no_image_is_upright() -> None:
    assert exif_orientation(b"no image") == 1


def mask_of(height: int, width: int) -> Mask:
    return (np.arange(height * width).reshape(height, width) // 7 % 3).astype(np.uint8)


@pytest.mark.parametrize(("orientation", "size"), [(6, (24, 36)), (3, (24, 36)), (8, (30, 30))])
def test_masks_drawn_on_stored_pixels(
    tmp_path: Path, orientation: int, size: tuple[int, int]
) -> None:
    site = new_site(tmp_path / "site")
    image = save_turned(tmp_path / "a.png", scene(0, *size), orientation)
    stored = mask_of(*size)
    mask = save_image(tmp_path / "m.png", stored)
    if orientation == 6:  # a quarter turn of a picture that is no square shows
        with pytest.raises(DataError, match=r"fits its image only as stored.* --masks-as-stored"):
            add_labels(site, image, mask)
        assert site.frames() == []
    else:
        [note] = [note for note in add_labels(site, image, mask).notes if "EXIF" in note]
        assert "1 image(s) have an EXIF turn" in note and "--masks-as-stored" in note
    result = add_labels(site, image, mask, masks_as_stored=True)
    assert not any("EXIF" in note for note in result.notes)
    [frame] = site.frames()
    kept = np.asarray(Image.open(site.path(frame.mask or "")))
    assert (kept == turn_mask(stored, orientation)).all()


def test_masks_drawn_upright_are_not_turned_twice(tmp_path: Path) -> None:
    site = new_site(tmp_path / "site")
    image = save_turned(tmp_path / "a.png", scene(0, 24, 36), 6)
    upright = mask_of(36, 24)
    mask = save_image(tmp_path / "m.png", upright)
    with pytest.raises(DataError, match="leave --masks-as-stored out"):
        add_labels(site, image, mask, masks_as_stored=True)
    assert not any("EXIF" in note for note in add_labels(site, image, mask).notes)
    [frame] = site.frames()
    assert (np.asarray(Image.open(site.path(frame.mask or ""))) == upright).all()


def test_a_mask_with_a_turn_of_its_own(tmp_path: Path) -> None:
    site = new_site(tmp_path / "site")
    image = save_image(tmp_path / "a.png", scene(0, 36, 24))
    mask = save_turned(tmp_path / "m.png", mask_of(36, 24), 6)
    with pytest.raises(DataError, match="EXIF turn of its own: save it without metadata"):
        add_labels(site, image, mask)
