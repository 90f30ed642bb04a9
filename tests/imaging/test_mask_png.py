"""Masks as PNG files: gray and palette hold the same ids, and nothing else is taken for a mask."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.errors import DataError
from edgeseg.imaging.image_codec import encode_png
from edgeseg.imaging.mask_png import encode_palette_png, read_mask
from tests.helpers.bundles import CLASSES, COLORS
from tests.helpers.predictions import QUARTERS

PALETTE = [spec.rgb for spec in CLASSES]


def test_masks_open_in_color_and_hold_ids(tmp_path: Path) -> None:
    mask = QUARTERS.copy()
    mask[0, 0] = 255
    data = encode_palette_png(mask, PALETTE)
    path = tmp_path / "mask.png"
    path.write_bytes(data)
    opened = Image.open(io.BytesIO(data))
    assert opened.mode == "P" and np.array_equal(np.array(opened), mask)
    assert np.array_equal(np.array(opened.convert("RGB"))[-1, -1], COLORS[3])
    assert np.array_equal(read_mask(path), mask)
    assert np.array_equal(read_mask(path, ignore=[2]) == 255, (mask == 2) | (mask == 255))


def test_gray_masks_come_back(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(encode_png(QUARTERS))
    mask = read_mask(path)
    assert np.array_equal(mask, QUARTERS) and mask.flags.writeable


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "cut", "color", "deep"])
def test_everything_else_is_refused_in_the_words_of_the_caller(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mask.png"
    color = np.zeros((4, 4, 3), np.uint8)
    if kind == "deep":
        Image.fromarray(np.zeros((4, 4), np.uint16)).save(path)
    elif kind != "missing":
        contents = {"text": b"hello", "cut": encode_png(QUARTERS)[:50], "color": encode_png(color)}
        path.write_bytes(contents.get(kind, b""))
    with pytest.raises(DataError, match=r"mask\.png is missing, damaged or no 8-bit PNG"):
        read_mask(path)
    with pytest.raises(DataError) as caught:
        read_mask(path, fault="is gone; run again")
    assert str(caught.value) == f"{path} is gone; run again"
