"""The perceptual hash: stable under what footage goes through, different for different pictures,
fast to search.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.imaging.perceptual_hash import HashSet, dhash, hamming_distance, hamming_distances
from tests.helpers.footage import scene

WORDS = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("seed", range(5))
def test_survives_jpeg_scaling_and_brightness(seed: int) -> None:
    picture = scene(seed, 360, 480)
    value = dhash(picture)
    jpeg = np.asarray(
        cv2.imdecode(
            cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR
        ),
        np.uint8,
    )
    small = np.asarray(cv2.resize(picture, (301, 229), interpolation=cv2.INTER_AREA), np.uint8)
    dim = (picture // 2).astype(np.uint8)
    assert all(hamming_distance(value, dhash(other)) <= 4 for other in (jpeg, small, dim))


def test_different_pictures_are_far_apart() -> None:
    values = [dhash(scene(seed)) for seed in range(30)]
    assert min(hamming_distance(a, b) for i, a in enumerate(values) for b in values[:i]) > 10


def test_noise_on_a_flat_picture_sets_no_bits() -> None:
    noise = np.random.default_rng(0).integers(18, 23, (240, 320, 3), np.uint8)  # a dark night
    assert dhash(noise) == 0


def test_order_of_bits_and_tiny_pictures() -> None:
    ramp = np.broadcast_to(np.arange(0, 252, 28, dtype=np.uint8)[None, :, None], (8, 9, 3)).copy()
    assert dhash(ramp) == 2**64 - 1
    assert dhash(ramp[:, ::-1].copy()) == 0
    only_last = np.zeros((8, 9, 3), np.uint8)
    only_last[7, 8] = 255
    assert dhash(only_last) == 1
    assert dhash(np.full((1, 1, 3), 7, np.uint8)) == 0


@given(WORDS, st.lists(WORDS, min_size=1, max_size=20))
def test_many_distances_at_once_are_those_one_by_one(one: int, others: list[int]) -> None:
    assert hamming_distances(one, np.array(others, np.uint64)).tolist() == [
        hamming_distance(one, other) for other in others
    ]


def test_a_set_finds_near_hashes_however_many_it_holds() -> None:
    rng = np.random.default_rng(0)
    known = [int(value) for value in rng.integers(0, 2**63, 3000, dtype=np.uint64)]
    hashes = HashSet(known[:10])
    assert not HashSet([]).has_within(0, 64)
    for value in known[10:]:
        hashes.add(value)
    assert all(hashes.has_within(value ^ 0b1011, 3) for value in known)
    assert not any(hashes.has_within(value ^ 0b1011, 2) for value in known[:50])
