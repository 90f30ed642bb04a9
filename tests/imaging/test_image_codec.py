"""JPEG and PNG: whole files only, and nothing that is no picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg.imaging.image_codec import (
    decode_gray,
    decode_jpeg,
    encode_jpeg,
    encode_png,
    read_image,
)
from tests.helpers.footage import save_image, scene


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_truncated_files_are_no_pictures(tmp_path: Path, suffix: str) -> None:
    path = save_image(tmp_path / f"1{suffix}", scene(1))
    image = read_image(path)
    assert image is not None and np.abs(image.astype(int) - scene(1)).mean() < 8
    path.write_bytes(path.read_bytes()[:-20])
    assert read_image(path) is None and read_image(tmp_path / "missing.png") is None


def test_jpegs_must_have_the_size_that_is_asked_for() -> None:
    data = encode_jpeg(scene(1), 95)
    assert np.abs(decode_jpeg(data, 96, 128).astype(int) - scene(1)).mean() < 8
    for height, width in ((128, 96), (96, 127)):
        with pytest.raises(ValueError, match="is no JPEG of"):
            decode_jpeg(data, height, width)


def test_png_keeps_every_value() -> None:
    gray = scene(2)[..., 0]
    assert np.array_equal(decode_gray(encode_png(gray)), gray)
    with pytest.raises(ValueError, match="is no 8-bit gray PNG"):
        decode_gray(encode_png(scene(2)))


def test_what_is_no_picture_cannot_be_compressed() -> None:
    with pytest.raises(ValueError, match="cannot be compressed"):
        encode_jpeg(np.zeros((0, 4, 3), np.uint8), 90)
    with pytest.raises(ValueError, match="cannot be compressed"):
        encode_png(np.zeros((0, 4), np.uint8))
