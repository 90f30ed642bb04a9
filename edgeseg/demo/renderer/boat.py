"""A boat on the river now and then: of the class "structure", in any color."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.demo.renderer.camera_view import Pose
from edgeseg.demo.renderer.lighting import Conditions, Light
from edgeseg.demo.renderer.materials import STRUCTURE_CLASS, WATER_CLASS
from edgeseg.demo.renderer.noise import Floats
from edgeseg.imaging.array_types import Mask

HULL_COLORS = (  # linear RGB
    (0.42, 0.06, 0.05),
    (0.06, 0.12, 0.30),
    (0.62, 0.60, 0.55),
    (0.06, 0.16, 0.08),
    (0.20, 0.13, 0.07),
)
CABIN_COLOR = (0.55, 0.54, 0.5)
CABIN_SHARE = 0.6  # of the boats
Outline = list[NDArray[np.float64]]  # points (3,) in meters


@dataclass(frozen=True)
class Projection:
    """The way from meters to the pixels of one camera, for (height, width) pixels."""

    pose: Pose
    height: int
    width: int

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return (N, 1, 2) column, row of (N, 3) x, y, z in meters."""
        east, up, north = (points - (self.pose.x, self.pose.y, 0)).T
        sine, cosine = np.sin(self.pose.yaw), np.cos(self.pose.yaw)
        depth = east * sine + north * cosine
        focal = self.pose.focal_length(self.width)
        columns = self.width / 2 - 0.5 + focal * (east * cosine - north * sine) / depth
        rows = self.pose.horizon_row(self.height) - 0.5 - focal * up / depth
        return np.asarray(np.stack((columns, rows), -1).round()[:, None], np.int32)


def draw_boat(
    color: Floats,
    mask: Mask,
    distance: Floats,
    project: Projection,
    conditions: Conditions,
    light: Light,
    random: np.random.Generator,
) -> None:
    """Add one boat with its mirror image, where nothing hides it.

    Args:
        color: (H, W, 3) linear RGB; is changed, as the next two are.
        mask: (H, W) class ids.
        distance: (H, W) meters.
        project: The camera.
        conditions: The moment.
        light: Its light.
        random: The frame's generator.
    """
    x, z, turn = random.uniform(-2, 8), random.uniform(17, 42), random.normal(0.2, 0.5)
    length, height = random.uniform(2.2, 4.5), random.uniform(0.5, 0.9)
    along = np.array([np.cos(turn), 0, np.sin(turn)]) * length / 2
    middle = np.array([x, conditions.level, z])
    up = np.array([0, height, 0])
    hull, cabin = _hull(middle, along, up), _cabin(middle, along, up)
    hull_color = np.array(HULL_COLORS[int(random.integers(len(HULL_COLORS)))], np.float32)
    parts = [(hull, hull_color)]
    if random.random() < CABIN_SHARE:
        parts.append((cabin, np.array(CABIN_COLOR, np.float32)))

    shine = light.ambient + light.sun * np.float32(0.45) + np.float32(0.05 * light.lamp)
    for outline, pigment in parts:
        mirrored = [point * (1, -1, 1) + (0, 2 * conditions.level, 0) for point in outline]
        image = _inside(project, mirrored, mask.shape) & (mask == WATER_CLASS)
        color[image] += (pigment * shine * np.float32(0.6) - color[image]) * np.float32(0.55)
    for outline, pigment in parts:
        visible = _inside(project, outline, mask.shape) & (distance > z - 2)
        color[visible] = pigment * shine
        mask[visible] = STRUCTURE_CLASS
        distance[visible] = z


def _hull(
    middle: NDArray[np.float64], along: NDArray[np.float64], up: NDArray[np.float64]
) -> Outline:
    """Return stern and bow, which rises a quarter higher."""
    return [
        middle - 0.85 * along,
        middle - along + up,
        middle + along + 1.25 * up,
        middle + 0.8 * along,
    ]


def _cabin(
    middle: NDArray[np.float64], along: NDArray[np.float64], up: NDArray[np.float64]
) -> Outline:
    corners = ((-0.5, 1), (-0.45, 2.1), (0.15, 2.1), (0.25, 1.1))
    return [middle + share * along + rise * up for share, rise in corners]


def _inside(project: Projection, outline: Outline, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return (H, W), true inside the outline as the camera sees it."""
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [project(np.array(outline))], 1)
    return canvas.astype(bool)
