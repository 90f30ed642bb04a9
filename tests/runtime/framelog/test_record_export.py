"""Exported masks have the frame's size and are what every other part would make of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.mask_png import read_mask
from edgeseg.imaging.resize import resize_mask
from edgeseg.runtime.framelog.record_export import export_records, full_size_mask, record_overlay
from edgeseg.runtime.framelog.record_format import Record, encode_parts, encode_record, parse_record
from tests.helpers.frame_logs import record_metadata

STORED_SIZE = 192, 256
PALETTE = ((0, 0, 0), (200, 100, 50))


def diagonal_mask(height: int, width: int) -> Mask:
    """Class 1 above the diagonal from the top left to the bottom right corner."""
    y, x = np.mgrid[:height, :width]
    return np.asarray((x + 0.5) / width > (y + 0.5) / height, np.uint8)


def record_of(mask: Mask, frame_size: tuple[int, int]) -> tuple[str, bytes]:
    height, width = frame_size
    image = np.full((height, width, 3), 90, np.uint8)
    parts = encode_parts(image, mask, None, quality=95)
    return encode_record(record_metadata(height=height, width=width), parts)


def read_back(mask: Mask, frame_size: tuple[int, int]) -> Record:
    return parse_record(record_of(mask, frame_size)[1])


@pytest.mark.parametrize("frame_size", [(360, 480), (480, 640), (720, 960), (1080, 1920)])
def test_exported_masks_are_the_stored_ones_resized(
    tmp_path: Path, frame_size: tuple[int, int]
) -> None:
    mask = diagonal_mask(*STORED_SIZE)
    name, data = record_of(mask, frame_size)
    path = tmp_path / "log" / "ready" / "0" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert export_records(tmp_path / "log", tmp_path / "out", PALETTE).good == 1
    [exported] = (tmp_path / "out" / "masks").iterdir()
    assert np.array_equal(read_mask(exported), resize_mask(mask, frame_size))


def test_a_picture_of_another_size_than_the_header_says_is_not_passed_on(tmp_path: Path) -> None:
    parts = encode_parts(np.full((40, 60, 3), 90, np.uint8), None, None, quality=95)
    name, data = encode_record(record_metadata(height=32, width=32), parts)
    path = tmp_path / "log" / "ready" / "0" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    result = export_records(tmp_path / "log", tmp_path / "out", PALETTE)
    assert result.good == 0 and "is no JPEG of 32x32" in str(result.bad)
    assert not (tmp_path / "out" / "images").exists()


@pytest.mark.parametrize(
    ("frame_size", "moved"),
    [((360, 480), 294), ((480, 640), 388), ((720, 960), 625), ((1080, 1920), 1021)],
)
def test_class_borders_do_not_move(frame_size: tuple[int, int], moved: int) -> None:
    """Counts the pixels of a diagonal border that corner sampling, `INTER_NEAREST`, would move."""
    mask = diagonal_mask(*STORED_SIZE)
    at_frame_size = full_size_mask(read_back(mask, frame_size))
    by_corner = cv2.resize(mask, frame_size[::-1], interpolation=cv2.INTER_NEAREST)
    assert at_frame_size is not None and int((at_frame_size != by_corner).sum()) == moved


def test_pixels_take_the_class_under_their_own_center() -> None:
    mask = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]], np.uint8)
    at_frame_size = full_size_mask(read_back(mask, (4, 4)))
    assert at_frame_size is not None
    # The centers 0.5, 1.5, 2.5 and 3.5 of 4 pixels lie in the pixels 0, 1, 1 and 2 of 3.
    assert at_frame_size.tolist() == [[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert np.array_equal(record_overlay(read_back(mask, (4, 4)), PALETTE)[0, 1], [145, 95, 70])
