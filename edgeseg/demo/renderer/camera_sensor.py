"""From light to file: haze, exposure, rain, a dirty lens, sensor noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from edgeseg.demo.renderer.camera_view import FAR
from edgeseg.demo.renderer.lighting import Conditions, Light
from edgeseg.demo.renderer.noise import Floats, noise_tile, smoothstep
from edgeseg.imaging.array_types import Image

MARGIN = 64  # pixels by which grain and rain streaks exceed the picture: each frame shifts them


def add_haze(
    color: Floats, distance: Floats, height: Floats, conditions: Conditions, light: Light
) -> Floats:
    """Lay the air between camera and scene over `color`: contrast falls as exp(-density * path).

    Args:
        color: (H, W, 3) linear RGB.
        distance: (H, W) meters.
        height: (H, W) slope of each line of sight, 0 at the horizon, upwards positive.
        conditions: The moment.
        light: Its light.
    """
    density = np.float32(0.0005 + 0.0025 * conditions.rain + 0.055 * conditions.fog**2)
    # Towards the sky the path through the lower air gets shorter.
    path = np.where(
        distance < FAR, distance, np.float32(FAR) / (1 + np.maximum(height, 0) * np.float32(60))
    )
    clear = np.exp(-density * path)[..., None]
    air = light.horizon * np.float32(0.85 - 0.25 * conditions.rain) + light.sun * np.float32(0.06)
    return np.asarray(air + (color - air) * clear, np.float32)


class CameraSensor:
    """One camera's optics and sensor.

    Grain, dirt and streaks belong to the camera; what is random in a frame comes from the frame's
    own generator.
    """

    def __init__(self, random: np.random.Generator, height: int, width: int) -> None:
        self.size = height, width
        self._grain = random.standard_normal((height + MARGIN, width + MARGIN, 3)).astype(
            np.float32
        )
        self._streaks = _rain_streaks(random, height, width)
        spots = cv2.resize(noise_tile(random, 1.8), (width, height), interpolation=cv2.INTER_AREA)
        self._spots: Floats = smoothstep(0.3, 2.0, spots.astype(np.float32))
        self._drops = _lens_drops(random, height, width)
        rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        self._vignette = (1 - 0.16 * (rows**2 + columns**2)).astype(np.float32)[..., None]

    def expose(
        self, color: Floats, conditions: Conditions, light: Light, random: np.random.Generator
    ) -> Floats:
        """Turn linear light into a picture, metered like an automatic camera, with noise where it
        is dark.

        Args:
            color: (H, W, 3) linear RGB.
            conditions: The moment.
            light: Its light.
            random: The frame's generator.

        Returns:
            (H, W, 3), about 0..1.
        """
        mean = float(color[::4, ::4].mean()) + 1e-4
        gain = 0.42 / mean**0.88  # metering leaves the night a little darker than the day
        picture = color * np.float32(gain) * self._vignette
        picture = np.sqrt(picture / (picture + np.float32(0.62)))  # film-like shoulder, then gamma
        contrasty = picture * picture * (np.float32(3) - np.float32(2) * picture)
        picture = picture + (contrasty - picture) * np.float32(0.75)
        picture += (picture - picture.mean(-1, keepdims=True)) * np.float32(0.22)  # saturation
        if light.lamp:  # at night cameras see little color
            gray = picture.mean(-1, keepdims=True)
            picture += (gray - picture) * np.float32(0.65 * light.lamp)
        if conditions.rain > 0:
            streaks = self._shifted(self._streaks, random)
            picture += (streaks * np.float32(0.16 * conditions.rain))[..., None]
        if conditions.dirt > 0:
            picture = self._soil(picture, conditions.dirt)
        grain = self._shifted(self._grain, random)
        return np.asarray(picture + grain * np.float32(0.009 + 0.005 * min(gain, 9.0)), np.float32)

    def _shifted(self, texture: Floats, random: np.random.Generator) -> Floats:
        """Return a part of `texture` of the picture's size, from a random place."""
        down, right = random.integers(0, MARGIN, 2)
        return texture[down : down + self.size[0], right : right + self.size[1]]

    def _soil(self, picture: Floats, dirt: float) -> Floats:
        """Mix a blurred veil into the picture where spots and drops are."""
        blurred = cv2.GaussianBlur(picture, (0, 0), self.size[1] / 40)
        veil = blurred * np.float32(0.55) + np.float32(0.30) * blurred.mean()
        share = np.clip(
            self._spots * np.float32(0.85 * dirt) + self._drops * np.float32(1.1 * dirt), 0, 0.9
        )[..., None]
        return np.asarray(picture + (veil - picture) * share, np.float32)


def compress_jpeg(picture: Floats, quality: int) -> Image:
    """Return the (H, W, 3) picture 0..1 as uint8 RGB, after JPEG at `quality`."""
    pixels = (np.clip(picture, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None, "what OpenCV has just encoded"
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def _rain_streaks(random: np.random.Generator, height: int, width: int) -> Floats:
    """Return (H + MARGIN, W + MARGIN) of random dots drawn out along a steep line."""
    dots = (random.random((height + MARGIN, width + MARGIN)) > 0.985).astype(np.float32)
    length = max(5, height // 16) | 1  # odd, as a kernel with a middle must be
    kernel = np.zeros((length, length), np.float32)
    cv2.line(kernel, (length // 2 + length // 8, 0), (length // 2 - length // 8, length - 1), 1.0)
    return np.asarray(cv2.filter2D(dots, -1, kernel / 2), np.float32)


def _lens_drops(random: np.random.Generator, height: int, width: int) -> Floats:
    """Return (H, W) of soft discs."""
    picture = np.zeros((height, width), np.float32)
    for _ in range(26):
        center = int(random.integers(0, width)), int(random.integers(0, height))
        cv2.circle(picture, center, int(random.integers(2, max(3, width // 34))), 1.0, -1)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), width / 200), np.float32)
