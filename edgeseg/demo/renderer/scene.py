"""The synthetic river site: a picture and its exact mask for every moment, weather, season and
place of the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.demo.renderer import camera_sensor, sky, water
from edgeseg.demo.renderer import site_plan as plan
from edgeseg.demo.renderer.boat import Projection, draw_boat
from edgeseg.demo.renderer.camera_view import Pose, Rays, camera_rays, reflect_rays
from edgeseg.demo.renderer.lighting import Conditions, Light, light_at, shade_surfaces, sunlit_share
from edgeseg.demo.renderer.noise import Floats, sample_tile
from edgeseg.demo.renderer.world import SurfaceMap, World
from edgeseg.imaging.array_types import Image

CLASSES = (
    ("sky", "#7ec8f2"),
    ("water", "#1f5fbf"),
    ("bank", "#b08d57"),
    ("vegetation", "#3f9b3f"),
    ("structure", "#d9483b"),
)
SKY, WATER, BANK, VEGETATION, STRUCTURE = range(5)
MASKS = np.array([0, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4], np.uint8)  # class of each material
BOATS = 0.3  # share of frames with a boat
LEVEL_STEP = 0.1  # meters; levels between share one water plane


@dataclass(frozen=True)
class StaticView:
    """What one camera sees whatever the light: its rays, surfaces, how far each pixel sways, where
    the sky is.
    """

    view: Rays
    surface: SurfaceMap
    sway: Floats
    sky: NDArray[np.bool_]


@dataclass(frozen=True)
class RiverView:
    """What one camera sees at one level: the water plane, where it lies open, and what it mirrors
    at half size.
    """

    sheet: water.WaterPlane
    open: NDArray[np.bool_]
    mirrored: SurfaceMap
    rise: Floats


class Scene:
    """Renders frames of (height, width), both even; the same seed and conditions give the same
    frame.
    """

    def __init__(self, height: int = 192, width: int = 288, seed: int = 3) -> None:
        self.height, self.width = height, width
        self.world = World(seed)
        self.lens = camera_sensor.CameraSensor(np.random.default_rng((seed, 1)), height, width)
        self._stills: dict[Pose, StaticView] = {}
        self._rivers: dict[tuple[Pose, int], RiverView] = {}

    def render(self, conditions: Conditions, pose: Pose | None = None) -> tuple[Image, Image]:
        """The frame, (H, W, 3) uint8 RGB, and its class ids, (H, W) uint8."""
        pose = pose or Pose()
        still, river = self._still(pose), self._river(pose, conditions.level)
        shine = light_at(conditions)
        random = np.random.default_rng((conditions.seed, 7))
        top = pose.top(self.height)
        above = self._sky(pose, conditions, shine)
        shadow = self._shadow(still.surface, river, conditions, shine, top)

        color = shade_surfaces(still.surface, shadow, conditions, shine)
        backdrop = cv2.resize(above[-top // 2 :], (self.width, top), interpolation=cv2.INTER_LINEAR)
        color[:top][still.sky[:top]] = backdrop[still.sky[:top]]
        mirrored = shade_surfaces(river.mirrored, shadow[top::2, ::2], conditions, shine)
        np.copyto(
            mirrored,
            above[::-1][: len(mirrored)],
            where=(river.mirrored.material == plan.SKY)[..., None],
        )
        mirrored = camera_sensor.add_haze(
            mirrored, river.mirrored.distance, river.rise, conditions, shine
        )
        surface = water.paint_water(
            self.world, river.sheet, mirrored, color[top:], shadow[top:], conditions, shine
        )
        color[top:][river.open] = surface[river.open]
        mask = MASKS[still.surface.material]
        mask[top:][river.open] = WATER
        distance = still.surface.distance.copy()
        distance[top:][river.open] = river.sheet.distance[river.open]
        if random.random() < BOATS:
            draw_boat(
                color,
                mask,
                distance,
                Projection(pose, self.height, self.width),
                conditions,
                shine,
                random,
            )
        color = camera_sensor.add_haze(color, distance, still.view.direction[1], conditions, shine)
        picture, mask = self._shake(color, mask, still.sway, conditions, random)
        return camera_sensor.compress_jpeg(
            self.lens.expose(picture, conditions, shine, random), int(random.integers(72, 93))
        ), mask

    def _still(self, pose: Pose) -> StaticView:
        if pose not in self._stills:
            view = camera_rays(pose, self.height, self.width)
            surface = self.world.trace(view)
            below = surface.material[pose.top(self.height) :]
            below[below == plan.SKY] = (
                plan.FOREST
            )  # a chink between far hills shows more forest, not sky
            leaves = np.isin(surface.material, (plan.LEAF, plan.REED)).astype(np.float32)
            sway = cv2.GaussianBlur(leaves, (0, 0), self.width / 200) * np.float32(self.width / 130)
            self._stills[pose] = StaticView(
                view, surface, sway.astype(np.float32), surface.material == plan.SKY
            )
        return self._stills[pose]

    def _river(self, pose: Pose, level: float) -> RiverView:
        step = round(level / LEVEL_STEP)
        if (pose, step) not in self._rivers:
            top, level = pose.top(self.height), step * LEVEL_STEP
            half = _below(camera_rays(pose, self.height // 2, self.width // 2), top // 2)
            mirrored = self.world.trace(reflect_rays(half, level)[0])
            view, ground = self._still(pose).view, self._still(pose).surface
            lower = _below(view, top)
            _, t = reflect_rays(lower, level)
            x, _, z = lower.at(t)
            depth = np.float32(level) - ground.y[top:]
            sheet = water.WaterPlane(x, z, t, depth, lower.direction)
            self._rivers[pose, step] = RiverView(sheet, depth > 0, mirrored, -half.direction[1])
        return self._rivers[pose, step]

    def _sky(self, pose: Pose, conditions: Conditions, shine: Light) -> Floats:
        """The sky at half size, from as far above the horizon as the picture reaches below it down
        to the horizon.
        """
        top = pose.top(self.height)
        half = camera_rays(pose, self.height // 2, self.width // 2)
        rows = max(top, self.height - top) // 2
        focal = self.width / 4 / np.tan(pose.field_of_view / 2)
        up = ((rows - 0.5 - np.arange(rows, dtype=np.float32)) / np.float32(focal))[:, None].repeat(
            self.width // 2, 1
        )
        dx, dz = (half.direction[n][:1].repeat(rows, 0) for n in (0, 2))
        return sky.paint_sky(self.world, (dx, up, dz), conditions, shine)

    def _shadow(
        self, surface: SurfaceMap, river: RiverView, conditions: Conditions, shine: Light, top: int
    ) -> Floats:
        """(H, W) share of the sun at what is seen, the water's surface included; reckoned at a
        quarter of the size.
        """
        points = [np.ascontiguousarray(a[::4, ::4]) for a in (surface.x, surface.y, surface.z)]
        rows = np.arange(0, self.height, 4)
        lower, picked = rows >= top, rows[rows >= top] - top
        wet = river.open[picked, ::4]
        level = np.full_like(river.sheet.x, conditions.level)
        for target, plane in zip(points, (river.sheet.x, level, river.sheet.z), strict=True):
            target[lower] = np.where(wet, plane[picked, ::4], target[lower])
        small = sunlit_share(
            self.world,
            points[0],
            points[1],
            points[2],
            shine.toward,
            conditions.seconds,
            conditions.cloud,
        )
        return np.asarray(
            cv2.resize(small, (self.width, self.height), interpolation=cv2.INTER_LINEAR), np.float32
        )

    def _shake(
        self,
        color: Floats,
        mask: NDArray[np.uint8],
        sway: Floats,
        conditions: Conditions,
        random: np.random.Generator,
    ) -> tuple[Floats, NDArray[np.uint8]]:
        """Bend the plants and shake the camera in the wind, picture and mask alike."""
        rows, columns = np.mgrid[: self.height, : self.width].astype(np.float32)
        gusts = sample_tile(
            self.world.large,
            columns / (2 * self.width) + np.float32(0.11 * conditions.seconds),
            rows / (2 * self.height),
        )
        down, right = random.normal(0, self.width / 450 * (0.4 + conditions.wind), 2)
        turn = np.float32(random.normal(0, 0.0015))
        middle = np.float32(self.width / 2)
        across = (
            columns + gusts * sway * np.float32(conditions.wind) + np.float32(right) + turn * rows
        )
        along = rows + np.float32(down) - turn * (columns - middle)
        picture = cv2.remap(color, across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        picture = cv2.GaussianBlur(picture, (3, 3), 0.5)
        moved = cv2.remap(mask, across, along, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(picture, np.float32), np.asarray(moved, np.uint8)


def _below(view: Rays, top: int) -> Rays:
    """The rays from row `top` down."""
    origin, direction = (tuple(a[top:] for a in part) for part in (view.origin, view.direction))
    return Rays(origin, direction, view.start[top:])  # type: ignore[arg-type]
