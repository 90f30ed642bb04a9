"""A boat on the river now and then: masonry's class, anybody's color."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.demo.renderer.camera_view import Pose
from edgeseg.demo.renderer.lighting import Conditions, Light
from edgeseg.demo.renderer.noise import Floats

STRUCTURE, WATER = 4, 1
HULLS = (
    (0.42, 0.06, 0.05),
    (0.06, 0.12, 0.30),
    (0.62, 0.60, 0.55),
    (0.06, 0.16, 0.08),
    (0.20, 0.13, 0.07),
)


@dataclass(frozen=True)
class Projection:
    """From meters to the pixels of one camera."""

    pose: Pose
    height: int
    width: int

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        """(N, 3) x, y, z in meters to (N, 1, 2) column, row."""
        east, up, north = (points - (self.pose.x, self.pose.y, 0)).T
        sine, cosine = np.sin(self.pose.yaw), np.cos(self.pose.yaw)
        depth = east * sine + north * cosine
        focal = self.pose.focal(self.width)
        columns = self.width / 2 - 0.5 + focal * (east * cosine - north * sine) / depth
        rows = self.pose.top(self.height) - 0.5 - focal * up / depth
        return np.asarray(np.stack((columns, rows), -1).round()[:, None], np.int32)


def draw_boat(
    color: Floats,
    mask: NDArray[np.uint8],
    distance: Floats,
    project: Projection,
    conditions: Conditions,
    shine: Light,
    random: np.random.Generator,
) -> None:
    """Add one boat with its mirror image to linear `color`, (H, W, 3), and to `mask`, where it is
    not hidden.
    """
    x, z, turn = random.uniform(-2, 8), random.uniform(17, 42), random.normal(0.2, 0.5)
    long, high = random.uniform(2.2, 4.5), random.uniform(0.5, 0.9)
    along = np.array([np.cos(turn), 0, np.sin(turn)]) * long / 2
    middle = np.array([x, conditions.level, z])
    up = np.array([0, high, 0])
    hull = [
        middle - 0.85 * along,
        middle - along + up,
        middle + along + 1.25 * up,
        middle + 0.8 * along,
    ]
    cabin = [
        middle + share * along + rise * up
        for share, rise in ((-0.5, 1), (-0.45, 2.1), (0.15, 2.1), (0.25, 1.1))
    ]
    paint = np.array(HULLS[int(random.integers(len(HULLS)))], np.float32)
    light = shine.ambient + shine.sun * np.float32(0.45) + np.float32(0.05 * shine.lamp)
    parts = [(hull, paint), (cabin, np.array([0.55, 0.54, 0.5], np.float32))][
        : 1 + int(random.random() < 0.6)
    ]
    for outline, pigment in parts:
        flipped = [point * (1, -1, 1) + (0, 2 * conditions.level, 0) for point in outline]
        image = _inside(project, flipped, mask.shape) & (mask == WATER)
        color[image] += (pigment * light * np.float32(0.6) - color[image]) * np.float32(0.55)
    for outline, pigment in parts:
        seen = _inside(project, outline, mask.shape) & (distance > z - 2)
        color[seen] = pigment * light
        mask[seen] = STRUCTURE
        distance[seen] = z


def _inside(
    project: Projection, outline: list[NDArray[np.float64]], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [project(np.array(outline))], 1)
    return canvas.astype(bool)
