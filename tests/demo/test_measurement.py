"""The measurement of the demo's models."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.demo.measurement import measure_season, read_test_frames
from edgeseg.imaging.array_types import Image
from edgeseg.site import Site


def test_measuring_counts_what_is_right(site: Site) -> None:
    answers = [mask for _, mask in read_test_frames(site.root, "summer")]
    entropy = np.zeros((4, 4), np.float32)
    replies = iter(answers)

    def perfect(image: Image) -> tuple[Image, NDArray[np.float32]]:
        return next(replies), entropy

    def water(image: Image) -> tuple[Image, NDArray[np.float32]]:
        return np.ones(image.shape[:2], np.uint8), entropy

    whole = measure_season(perfect, site.root, "summer", 6)
    assert whole.miou == 100.0 and whole.per_class[5] is None  # which no frame shows

    def invented(image: Image) -> tuple[Image, NDArray[np.float32]]:
        return np.full(image.shape[:2], 5, np.uint8), entropy

    assert measure_season(invented, site.root, "summer", 6).per_class[5] is None
    drowned = measure_season(water, site.root, "summer", 5)
    assert drowned.per_class[1] is not None
    assert drowned.per_class[1] == pytest.approx(100 * np.mean(np.stack(answers) == 1), abs=0.01)
    assert drowned.miou == pytest.approx((drowned.per_class[1] or 0) / 5, abs=0.01)
