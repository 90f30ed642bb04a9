"""The world of the synthetic site: terrain, plants and masonry, and what rays meet of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgeseg.demo.renderer import materials, site_plan
from edgeseg.demo.renderer.camera_view import FAR, Rays, SurfaceMap, Vectors
from edgeseg.demo.renderer.noise import Floats, fade_texture, noise_tile, sample_tile, smoothstep
from edgeseg.demo.renderer.site_plan import Box, Crown
from edgeseg.demo.renderer.solids import normalize, put_box, put_crown

COURSE_STEPS = 8  # entries a meter in the table of the river's course
# The terrain is searched in steps that grow by 3.5 % each: 12 cm near the camera, FAR at last.
TERRAIN_STEPS = 170
STEP_GROWTH = 1.035
SKYWARD = 0.25  # upward slope of a ray from which no terrain is met


@dataclass
class World:
    """Everything that stands at the site, grown from one seed.

    Attributes:
        seed: Of everything random.
        large: Noise of large shapes.
        fine: Noise of small ones.
        boxes: All masonry.
        crowns: All balls of leaves and all boulders.
    """

    seed: int
    large: Floats = field(init=False)
    fine: Floats = field(init=False)
    boxes: list[Box] = field(init=False)
    crowns: list[Crown] = field(init=False)
    _course: Floats = field(init=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        self.large = noise_tile(random, 2.0)
        self.fine = noise_tile(random, 1.1, low=6)
        z = np.arange(int(FAR * COURSE_STEPS)) / COURSE_STEPS
        self._course = np.stack(site_plan.river_course(z), -1).astype(np.float32)
        self.boxes = list(site_plan.boxes())
        self.crowns = list(site_plan.crowns(random, self._height_at))

    def bank(self, x: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Return the meters from the river's edge at level 0 (negative in the water) and the side
        (-1 left, 1 right).
        """
        row = np.clip(z * np.float32(COURSE_STEPS), 0, len(self._course) - 1).astype(np.int32)
        course = self._course[row]
        offset = x - course[..., 0]
        return np.abs(offset) - course[..., 1], np.sign(offset)

    def height(self, x: Floats, z: Floats) -> Floats:
        """Return the height of the ground at x, z, below the water too."""
        edge, side = self.bank(x, z)
        rough = sample_tile(self.large, x / 37, z / 37)
        stones = sample_tile(self.fine, x / 9, z / 9)
        dry = smoothstep(-5, 8, edge + rough)
        ground = -2.2 + (5.0 + 0.6 * side) * dry + 0.16 * rough + 0.09 * stones * (1 - 0.6 * dry)
        hills = smoothstep(90, 420, z) * (26 + 9 * rough) + smoothstep(30, 160, edge) * (
            14 + 4 * rough
        )
        return (ground + hills * smoothstep(5, 30, edge)).astype(np.float32)

    def _height_at(self, x: float, z: float) -> float:
        return float(self.height(*(np.full((1, 1), value, np.float32) for value in (x, z)))[0, 0])

    def trace(self, view: Rays) -> SurfaceMap:
        """Follow the rays of `view` to the first surface."""
        t, material = self._trace_terrain(view)
        x, y, z = view.at(t)
        zero = np.zeros_like(t)
        normal = self._terrain_normal(x, z, t)
        surface = SurfaceMap(
            material, t, x, y, z, normal, zero, zero.copy(), zero + np.float32(1.0)
        )
        self._cover_terrain(surface)
        for box in self.boxes:
            put_box(surface, view, box, fine=self.fine)
        for crown in self.crowns:
            put_crown(surface, view, crown, fine=self.fine, coarse=self.large)
        surface.distance[surface.material == materials.SKY] = FAR
        return surface

    def _trace_terrain(self, view: Rays) -> tuple[Floats, NDArray[np.uint8]]:
        """Return t and material where rays first pass below the ground.

        A ray is followed in growing steps; once it is below the ground, the place in between is
        found by proportion. From 2 m above to 1 m below, it is two thirds of the step.
        """
        before, t = view.start.copy(), np.full_like(view.start, FAR)
        searching = view.direction[1] < SKYWARD
        gap_before = np.ones_like(t)
        for step in range(TERRAIN_STEPS):
            now = view.start + (np.float32(STEP_GROWTH) ** step - 1) * np.float32(3.5)
            x, y, z = view.at(now)
            gap = y - self.height(x, z)  # meters above the ground
            hit = searching & (gap < 0)
            share = gap_before / np.maximum(gap_before - gap, 1e-6)
            t[hit] = (before + (now - before) * share)[hit]
            searching &= ~hit
            before, gap_before = now, gap
            if not searching.any() or float(now.min()) > FAR:
                break
        return t, np.where(t < FAR, materials.EARTH, materials.SKY).astype(np.uint8)

    def _terrain_normal(self, x: Floats, z: Floats, t: Floats) -> Vectors:
        """Return normals from differences of height over about the size of a pixel."""
        reach = np.maximum(t * np.float32(0.006), 0.08)
        height = self.height(x, z)
        return normalize(
            height - self.height(x + reach, z), reach, height - self.height(x, z + reach)
        )

    def _cover_terrain(self, ground: SurfaceMap) -> None:
        """Lay stones, earth, grass and far forest on the bare terrain."""
        edge, side = self.bank(ground.x, ground.z)
        patches = sample_tile(self.large, ground.x / 23 + 0.3, ground.z / 23)
        blades = sample_tile(self.fine, ground.x / 2.5, ground.z / 2.5)
        pebbles = sample_tile(self.fine, ground.x / 5, ground.z / 5)
        ground.grain[:] = fade_texture(pebbles, ground.distance, 40)
        ground.tint[:] = patches
        land = ground.material == materials.EARTH
        stony = patches - 0.25 * edge + 0.3 * blades > -0.4
        green = edge * 0.30 + patches * 0.9 + 0.3 * blades - 1.9 - 0.2 * side > 0
        wooded = (ground.z > 75) & (edge > 9 + 4 * patches)
        ground.material[land & stony] = materials.STONES
        ground.material[land & green] = materials.GRASS
        ground.material[land & wooded] = materials.FOREST
        grass = fade_texture(blades, ground.distance, 60)
        treetops = sample_tile(self.large, ground.x / 60, ground.y / 18)
        grain = np.where(ground.material == materials.GRASS, grass, ground.grain)
        ground.grain[:] = np.where(ground.material == materials.FOREST, treetops, grain)
