"""Black, saturated and frozen pictures are told from night, snow and still scenes."""

from __future__ import annotations

import numpy as np

from edgeseg.runtime.framelog.picture_quality import PictureQuality
from tests.helpers.frame_logs import blob_image

SECOND = 10**9


def test_dark_and_bright_pictures_are_told_from_night_and_snow() -> None:
    noise = np.random.default_rng(0).integers(0, 12, (480, 640, 3), np.uint8)
    night = noise.copy()
    night[200:280, 100:300] = 90  # one lamp
    snow = 255 - night
    quality = PictureQuality()
    assert quality.flags(noise, "a", 0) == ("black",)
    assert quality.flags(255 - noise, "a", 0) == ("saturated",)
    assert quality.flags(night, "a", 0) == ()
    assert quality.flags(snow, "a", 0) == ()
    assert quality.flags(np.zeros((5, 7, 3), np.uint8), "a", 0) == ("black",)


def test_a_camera_that_repeats_one_picture_is_frozen_after_ten_seconds() -> None:
    quality, still = PictureQuality(), blob_image(1)
    for second in range(10):
        assert quality.flags(still, "a", second * SECOND) == ()
        assert quality.flags(blob_image(second), "b", second * SECOND) == ()
    assert quality.flags(still, "a", 10 * SECOND) == ("frozen",)
    assert quality.flags(blob_image(99), "b", 10 * SECOND) == ()
    assert quality.flags(blob_image(2), "a", 11 * SECOND) == ()


def test_sensor_noise_is_not_frozen() -> None:
    quality, generator = PictureQuality(), np.random.default_rng(0)
    for second in range(30):
        noisy = blob_image(1) // 2 + generator.integers(0, 3, (48, 64, 3), np.uint8)
        assert quality.flags(noisy, "a", second * SECOND) == ()
