"""Runs bring back every mask, and refuse what fills another size."""

from __future__ import annotations

import base64
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Mask
from edgeseg.labelling.drafts import mask_runs
from edgeseg.labelling.drafts.mask_runs import decode_runs, decode_text, encode_runs, encode_text


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 255)
    )
)
def test_any_mask_comes_back(mask: Mask) -> None:
    assert np.array_equal(decode_text(encode_text(mask), *mask.shape), mask)


def test_the_documented_example() -> None:
    row = np.array([[7, 7, 7, 255]], np.uint8)
    assert encode_runs(row) == struct.pack("<II", 3 * 256 + 7, 256 + 255)


def test_a_run_longer_than_its_number_holds_is_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_runs, "MOST_RUN", 5)
    mask = np.repeat(np.array([[3, 9]], np.uint8), [12, 4], axis=1)
    data = encode_runs(mask)
    assert [run >> 8 for run in struct.unpack("<4I", data)] == [5, 5, 2, 4]
    assert np.array_equal(decode_runs(data, 1, 16), mask)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"abc",
        struct.pack("<I", 5 << 8),  # too few pixels
        struct.pack("<I", 7 << 8),  # too many
        struct.pack("<II", 0, 6 << 8),  # a run of nothing
        struct.pack("<I", 0xFFFFFFFF),  # 16 million pixels
        struct.pack("<7I", *[1 << 8] * 7),  # more runs than pixels
    ],
)
def test_runs_of_another_size_are_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="load the page again"):
        decode_runs(data, 2, 3)


@pytest.mark.parametrize("text", ["?", "AAA", "ä", base64.b64encode(b"abc").decode()])
def test_no_base64_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        decode_text(text, 2, 3)
