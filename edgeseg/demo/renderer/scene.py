"""The synthetic river site: a picture and its exact mask for every moment, weather, season and
place of the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.demo.renderer import materials
from edgeseg.demo.renderer.boat import Projection, draw_boat
from edgeseg.demo.renderer.camera_sensor import CameraSensor, add_haze, compress_jpeg
from edgeseg.demo.renderer.camera_view import Pose, Rays, SurfaceMap, camera_rays, reflect_rays
from edgeseg.demo.renderer.lighting import Conditions, Light, light_at, shade_surfaces, sunlit_share
from edgeseg.demo.renderer.noise import Floats, sample_tile
from edgeseg.demo.renderer.sky import paint_sky
from edgeseg.demo.renderer.water import WaterPlane, paint_water
from edgeseg.demo.renderer.world import World
from edgeseg.imaging.array_types import Image, Mask

BOAT_SHARE = 0.3  # of the frames
LEVEL_STEP = 0.1  # meters; levels between share one water plane
SHADOW_SCALE = 4  # shadows are computed for every fourth row and column


@dataclass(frozen=True)
class StaticView:
    """The view of one camera that no light and no water changes.

    Attributes:
        view: Its lines of sight.
        surface: What they meet.
        sway: (H, W) how far the plants of each pixel move in the wind.
        sky: (H, W) where the sky is.
    """

    view: Rays
    surface: SurfaceMap
    sway: Floats
    sky: NDArray[np.bool_]


@dataclass(frozen=True)
class RiverView:
    """The view of one camera on the river at one level: the rows below the horizon.

    Attributes:
        plane: The water plane.
        open: Where it lies above the ground.
        mirrored: What it mirrors, at half size.
        rise: (H/2, W/2) upward slope of the mirrored rays.
    """

    plane: WaterPlane
    open: NDArray[np.bool_]
    mirrored: SurfaceMap
    rise: Floats


class Scene:
    """The site as one camera after the other sees it.

    The same seed and conditions give the same frame. What does not change with the light is kept
    for each pose and level.

    Attributes:
        height, width: Pixels of the frames, both even.
        world: What stands at the site.
        sensor: The camera's optics and sensor.
    """

    def __init__(self, height: int = 192, width: int = 288, seed: int = 3) -> None:
        self.height, self.width = height, width
        self.world = World(seed)
        self.sensor = CameraSensor(np.random.default_rng((seed, 1)), height, width)
        self._static_views: dict[Pose, StaticView] = {}
        self._river_views: dict[tuple[Pose, int], RiverView] = {}

    def render(self, conditions: Conditions, pose: Pose | None = None) -> tuple[Image, Mask]:
        """Return the frame, (H, W, 3) uint8 RGB, and its class ids, (H, W) uint8."""
        pose = pose or Pose()
        static, river = self._static_view(pose), self._river_view(pose, conditions.level)
        light = light_at(conditions)
        random = np.random.default_rng((conditions.seed, 7))
        top = pose.horizon_row(self.height)

        color = self._paint(static, river, conditions, light, pose)
        mask = materials.CLASS_OF_MATERIAL[static.surface.material]
        mask[top:][river.open] = materials.WATER_CLASS
        distance = static.surface.distance.copy()
        distance[top:][river.open] = river.plane.distance[river.open]
        if random.random() < BOAT_SHARE:
            project = Projection(pose, self.height, self.width)
            draw_boat(color, mask, distance, project, conditions, light, random)
        color = add_haze(color, distance, static.view.direction[1], conditions, light)
        color, mask = self._shake(color, mask, static.sway, conditions, random)
        picture = self.sensor.expose(color, conditions, light, random)
        return compress_jpeg(picture, int(random.integers(72, 93))), mask

    def _paint(
        self, static: StaticView, river: RiverView, conditions: Conditions, light: Light, pose: Pose
    ) -> Floats:
        """Return (H, W, 3) linear RGB of land, sky and water, without the air in between."""
        top = pose.horizon_row(self.height)
        sky = self._half_size_sky(pose, conditions, light)  # its last row lies at the horizon
        sunlit = self._sunlit(static.surface, river, conditions, light, top)
        color = shade_surfaces(static.surface, sunlit, conditions, light)
        backdrop = cv2.resize(sky[-top // 2 :], (self.width, top), interpolation=cv2.INTER_LINEAR)
        color[:top][static.sky[:top]] = backdrop[static.sky[:top]]

        mirrored = shade_surfaces(river.mirrored, sunlit[top::2, ::2], conditions, light)
        mirrored_sky = (river.mirrored.material == materials.SKY)[..., None]
        np.copyto(mirrored, sky[::-1][: len(mirrored)], where=mirrored_sky)
        mirrored = add_haze(mirrored, river.mirrored.distance, river.rise, conditions, light)
        water = paint_water(
            self.world, river.plane, mirrored, color[top:], sunlit[top:], conditions, light
        )
        color[top:][river.open] = water[river.open]
        return color

    def _static_view(self, pose: Pose) -> StaticView:
        if pose not in self._static_views:
            view = camera_rays(pose, self.height, self.width)
            surface = self.world.trace(view)
            # A chink between far hills, below the horizon, shows more forest and not sky.
            below = surface.material[pose.horizon_row(self.height) :]
            below[below == materials.SKY] = materials.FOREST
            is_plant = np.isin(surface.material, (materials.LEAF, materials.REED))
            plants = is_plant.astype(np.float32)
            sway = cv2.GaussianBlur(plants, (0, 0), self.width / 200) * np.float32(self.width / 130)
            is_sky = surface.material == materials.SKY
            self._static_views[pose] = StaticView(view, surface, sway.astype(np.float32), is_sky)
        return self._static_views[pose]

    def _river_view(self, pose: Pose, level: float) -> RiverView:
        step = round(level / LEVEL_STEP)
        if (pose, step) not in self._river_views:
            top, level = pose.horizon_row(self.height), step * LEVEL_STEP
            half_size = camera_rays(pose, self.height // 2, self.width // 2).from_row(top // 2)
            mirrored = self.world.trace(reflect_rays(half_size, level)[0])
            static = self._static_view(pose)
            lower = static.view.from_row(top)
            _, t = reflect_rays(lower, level)
            x, _, z = lower.at(t)
            depth = np.float32(level) - static.surface.y[top:]
            plane = WaterPlane(x, z, t, depth, lower.direction)
            rise = -half_size.direction[1]
            self._river_views[pose, step] = RiverView(plane, depth > 0, mirrored, rise)
        return self._river_views[pose, step]

    def _half_size_sky(self, pose: Pose, conditions: Conditions, light: Light) -> Floats:
        """Paint the sky at half size, down to the horizon, from as far above it as the picture
        reaches below: the water mirrors that much.
        """
        top = pose.horizon_row(self.height)
        rows = max(top, self.height - top) // 2
        half_size = camera_rays(pose, self.height // 2, self.width // 2)
        focal = np.float32(self.width / 4 / np.tan(pose.field_of_view / 2))
        up = ((rows - 0.5 - np.arange(rows, dtype=np.float32)) / focal)[:, None]
        dx, dz = (half_size.direction[n][:1].repeat(rows, 0) for n in (0, 2))
        direction = (dx, up.repeat(self.width // 2, 1), dz)
        return paint_sky(self.world, direction, conditions, light)

    def _sunlit(
        self, surface: SurfaceMap, river: RiverView, conditions: Conditions, light: Light, top: int
    ) -> Floats:
        """Return (H, W), the share of the sun at what is seen, the water's surface included; it is
        computed for every fourth pixel.
        """
        n = SHADOW_SCALE
        x, y, z = (np.ascontiguousarray(a[::n, ::n]) for a in (surface.x, surface.y, surface.z))
        rows = np.arange(0, self.height, n)
        is_lower = rows >= top
        river_rows = rows[is_lower] - top  # every fourth row of the picture, as rows of the plane
        is_wet = river.open[river_rows, ::n]
        level = np.full_like(river.plane.x, conditions.level)
        for target, plane in ((x, river.plane.x), (y, level), (z, river.plane.z)):
            target[is_lower] = np.where(is_wet, plane[river_rows, ::n], target[is_lower])
        small = sunlit_share(
            self.world, x, y, z, light.toward, conditions.seconds, conditions.cloud
        )
        full_size = cv2.resize(small, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(full_size, np.float32)

    def _shake(
        self,
        color: Floats,
        mask: Mask,
        sway: Floats,
        conditions: Conditions,
        random: np.random.Generator,
    ) -> tuple[Floats, Mask]:
        """Bend the plants and shake the camera in the wind, picture and mask alike."""
        rows, columns = np.mgrid[: self.height, : self.width].astype(np.float32)
        gusts = sample_tile(
            self.world.large,
            columns / (2 * self.width) + np.float32(0.11 * conditions.seconds),
            rows / (2 * self.height),
        )
        down, right = random.normal(0, self.width / 450 * (0.4 + conditions.wind), 2)
        turn = np.float32(random.normal(0, 0.0015))  # radians
        middle = np.float32(self.width / 2)
        bend = gusts * sway * np.float32(conditions.wind)
        # Where in the still picture each pixel of the shaken one comes from.
        from_column = columns + bend + np.float32(right) + turn * rows
        from_row = rows + np.float32(down) - turn * (columns - middle)
        shaken = cv2.remap(
            color, from_column, from_row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        shaken = cv2.GaussianBlur(shaken, (3, 3), 0.5)
        shaken_mask = cv2.remap(
            mask, from_column, from_row, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(shaken, np.float32), np.asarray(shaken_mask, np.uint8)
