"""What the rays of a camera meet before any light falls on it: terrain, plants and masonry."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgeseg.demo.renderer import site_plan as plan
from edgeseg.demo.renderer.camera_view import FAR, Rays
from edgeseg.demo.renderer.noise import Floats, noise_tile, sample_tile, smoothstep
from edgeseg.demo.renderer.site_plan import Box, Crown

BEND_STEPS = 8  # entries a meter in the table of the river's course


@dataclass
class SurfaceMap:
    """The first thing each ray meets; all arrays (H, W).

    Attributes:
        material: one of the constants above.
        distance: t along the ray, FAR for the sky.
        x, y, z: where.
        normal: unit vector, three arrays.
        grain, tint: textures of brightness and of hue, about -2..2.
        shelter: how much of the sky's light arrives, 0..1.
    """

    material: NDArray[np.uint8]
    distance: Floats
    x: Floats
    y: Floats
    z: Floats
    normal: tuple[Floats, Floats, Floats]
    grain: Floats
    tint: Floats
    shelter: Floats


@dataclass
class World:
    """Everything that stands at the site, grown from one seed."""

    seed: int
    large: Floats = field(init=False)
    fine: Floats = field(init=False)
    boxes: list[Box] = field(init=False)
    crowns: list[Crown] = field(init=False)
    _bend: Floats = field(init=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        self.large = noise_tile(random, 2.0)
        self.fine = noise_tile(random, 1.1, low=6)
        z = np.arange(int(FAR * BEND_STEPS)) / BEND_STEPS
        self._bend = np.stack(plan.river(z), -1).astype(np.float32)
        self.boxes = list(plan.boxes())
        self.crowns = list(plan.crowns(random, self._ground))

    def bank(self, x: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Meters from the river's edge at level 0 (negative in the water) and the side (-1 left, 1
        right).
        """
        row = np.clip(z * np.float32(BEND_STEPS), 0, len(self._bend) - 1).astype(np.int32)
        bend = self._bend[row]
        offset = x - bend[..., 0]
        return np.abs(offset) - bend[..., 1], np.sign(offset)

    def height(self, x: Floats, z: Floats) -> Floats:
        """The ground at x, z, without water."""
        edge, side = self.bank(x, z)
        rough = sample_tile(self.large, x / 37, z / 37)
        stones = sample_tile(self.fine, x / 9, z / 9)
        dry = smoothstep(-5, 8, edge + rough)
        ground = -2.2 + (5.0 + 0.6 * side) * dry + 0.16 * rough + 0.09 * stones * (1 - 0.6 * dry)
        hills = smoothstep(90, 420, z) * (26 + 9 * rough) + smoothstep(30, 160, edge) * (
            14 + 4 * rough
        )
        return (ground + hills * smoothstep(5, 30, edge)).astype(np.float32)

    def _ground(self, x: float, z: float) -> float:
        return float(self.height(*(np.full((1, 1), value, np.float32) for value in (x, z)))[0, 0])

    def trace(self, view: Rays) -> SurfaceMap:
        """Follow the rays of `view` to the first surface."""
        t, material = self._terrain(view)
        x, y, z = view.at(t)
        zero = np.zeros_like(t)
        surface = SurfaceMap(
            material, t, x, y, z, self._slope(x, z, t), zero, zero.copy(), zero + np.float32(1.0)
        )
        self._cover(surface)
        for box in self.boxes:
            _put_box(surface, view, box, self.fine)
        for crown in self.crowns:
            self._put_crown(surface, view, crown)
        surface.distance[surface.material == plan.SKY] = FAR
        return surface

    def _terrain(self, view: Rays) -> tuple[Floats, NDArray[np.uint8]]:
        before, t = view.start.copy(), np.full_like(view.start, FAR)
        open_rays = view.direction[1] < 0.25
        gap_before = np.ones_like(t)
        for step in range(170):
            now = view.start + (np.float32(1.035) ** step - 1) * np.float32(3.5)
            x, y, z = view.at(now)
            gap = y - self.height(x, z)
            hit = open_rays & (gap < 0)
            share = gap_before / np.maximum(gap_before - gap, 1e-6)
            t[hit] = (before + (now - before) * share)[hit]
            open_rays &= ~hit
            before, gap_before = now, gap
            if not open_rays.any() or float(now.min()) > FAR:
                break
        return t, np.where(t < FAR, plan.EARTH, plan.SKY).astype(np.uint8)

    def _slope(self, x: Floats, z: Floats, t: Floats) -> tuple[Floats, Floats, Floats]:
        reach = np.maximum(t * np.float32(0.006), 0.08)
        here = self.height(x, z)
        return _unit(here - self.height(x + reach, z), reach, here - self.height(x, z + reach))

    def _cover(self, ground: SurfaceMap) -> None:
        """Lay stones, earth, grass and far forest on the bare terrain."""
        edge, side = self.bank(ground.x, ground.z)
        patches = sample_tile(self.large, ground.x / 23 + 0.3, ground.z / 23)
        blades = sample_tile(self.fine, ground.x / 2.5, ground.z / 2.5)
        ground.grain[:] = _faded(
            sample_tile(self.fine, ground.x / 5, ground.z / 5), ground.distance, 40
        )
        ground.tint[:] = patches
        land = ground.material == plan.EARTH
        green = edge * 0.30 + patches * 0.9 + 0.3 * blades - 1.9 - 0.2 * side
        ground.material[land & (patches - 0.25 * edge + 0.3 * blades > -0.4)] = plan.STONES
        ground.material[land & (green > 0)] = plan.GRASS
        ground.material[land & (ground.z > 75) & (edge > 9 + 4 * patches)] = plan.FOREST
        grain = np.where(
            ground.material == plan.GRASS, _faded(blades, ground.distance, 60), ground.grain
        )
        ground.grain[:] = np.where(
            ground.material == plan.FOREST,
            sample_tile(self.large, ground.x / 60, ground.y / 18),
            grain,
        )

    def _put_crown(self, surface: SurfaceMap, view: Rays, crown: Crown) -> None:
        box = _bounds(view, crown)
        if box is None:
            return
        ox, oy, oz = (
            o[box] - np.float32(c) for o, c in zip(view.origin, crown.center, strict=True)
        )
        dx, dy, dz = (d[box] for d in view.direction)
        square = dx * dx + dy * dy + dz * dz
        half = ox * dx + oy * dy + oz * dz
        inside = half * half - square * (ox * ox + oy * oy + oz * oz - np.float32(crown.radius**2))
        t = (-half - np.sqrt(np.maximum(inside, 0))) / square
        x, y, z = (o[box] + t * d[box] for o, d in zip(view.origin, view.direction, strict=True))
        normal = tuple(
            (p - np.float32(c)) / np.float32(crown.radius)
            for p, c in zip((x, y, z), crown.center, strict=True)
        )
        leafy = crown.material == plan.LEAF
        coarse = 7 * crown.radius**0.5 if leafy else 9 * crown.radius
        leaves = sample_tile(
            self.fine if leafy else self.large, (x + 0.7 * z) / coarse, (y - 0.4 * z) / coarse
        )
        rim = inside / np.maximum(
            square * np.float32(crown.radius**2), 1e-9
        )  # 0 at the silhouette, 1 in the middle
        ragged = rim + 0.32 * leaves > 0.22
        seen = (inside > 0) & (t > view.start[box]) & (t < surface.distance[box]) & ragged
        lumpy = _unit(
            *(n + 0.35 * leaves * s for n, s in zip(normal, (1.0, 0.6, -1.0), strict=True))
        )
        _paint(surface, box, seen, t, (x, y, z), lumpy, crown.material)
        surface.grain[box][seen] = leaves[seen]
        surface.tint[box][seen] = np.float32(crown.hue) + 0.25 * leaves[seen]
        surface.shelter[box][seen] = (0.62 + 0.38 * normal[1])[seen]


def _bounds(view: Rays, crown: Crown) -> tuple[slice, slice] | None:
    """Rows and columns that can see the crown; x and z of a direction depend on the column only, y
    on the row only.
    """
    ox, oy, oz = (float(o[0, 0]) - c for o, c in zip(view.origin, crown.center, strict=True))
    dx, dz, dy = view.direction[0][0], view.direction[2][0], view.direction[1][:, 0]
    depth = -(ox * dx + oz * dz) / (dx * dx + dz * dz)
    columns = np.flatnonzero(
        (np.abs(ox * dz - oz * dx) < crown.radius * np.hypot(dx, dz)) & (depth > 0)
    )
    if not columns.size:
        return None
    near, far = depth[columns].min() - 2 * crown.radius, depth[columns].max() + 2 * crown.radius
    heights = np.stack((oy + near * dy, oy + far * dy))
    rows = np.flatnonzero((heights.min(0) < crown.radius) & (heights.max(0) > -crown.radius))
    if not rows.size:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _put_box(surface: SurfaceMap, view: Rays, box: Box, fine: Floats) -> None:
    near, far = np.full_like(view.start, -np.inf), np.full_like(view.start, np.inf)
    axis = np.zeros(near.shape, np.uint8)
    for number, (o, d) in enumerate(zip(view.origin, view.direction, strict=True)):
        safe = np.where(np.abs(d) < 1e-6, np.float32(1e-6), d)
        one, two = (
            (np.float32(box.low[number]) - o) / safe,
            (np.float32(box.high[number]) - o) / safe,
        )
        enter = np.minimum(one, two)
        axis[enter > near] = number
        near, far = np.maximum(near, enter), np.minimum(far, np.maximum(one, two))
    seen = (near < far) & (near > view.start) & (near < surface.distance)
    if not seen.any():
        return
    x, y, z = view.at(np.where(seen, near, 0).astype(np.float32))
    if box.gap:
        seen &= np.mod(x, box.gap) < box.post
    if box.material == plan.REED:
        seen &= 0.62 + 0.3 * sample_tile(fine, x / 3, np.full_like(x, box.low[2])) > (
            y - box.low[1]
        ) / (box.high[1] - box.low[1])
    facing = tuple(
        np.where(axis == n, -np.sign(d), 0).astype(np.float32) for n, d in enumerate(view.direction)
    )
    everything = slice(None), slice(None)
    _paint(surface, everything, seen, near, (x, y, z), facing, box.material)  # type: ignore[arg-type]
    along = np.where(axis == 0, z, x)
    surface.grain[seen] = _faded(
        sample_tile(fine, along / 7, np.where(axis == 1, z, y) / 7), near, 50
    )[seen]
    surface.tint[seen] = sample_tile(fine, along / 3, y / 40)[seen]  # streaks that run down
    surface.shelter[seen] = 0.9
    if box.material == plan.WHITE and box.high[1] - box.low[1] > 2:
        ticks = (np.mod(y, 0.5) < 0.25) & (x < (box.low[0] + box.high[0]) / 2)
        surface.material[seen & (ticks | (np.mod(y, 1.0) < 0.12))] = plan.BLACK
    if box.material == plan.BRICK:
        joints = (np.mod(y, 0.6) < 0.08) & (near < 60)
        surface.grain[seen & joints] -= 1.5


def _paint(
    surface: SurfaceMap,
    box: tuple[slice, slice],
    seen: NDArray[np.bool_],
    t: Floats,
    where: tuple[Floats, Floats, Floats],
    normal: tuple[Floats, Floats, Floats],
    material: int,
) -> None:
    surface.material[box][seen] = material
    surface.distance[box][seen] = t[seen]
    for target, value in zip(
        (surface.x, surface.y, surface.z, *surface.normal), (*where, *normal), strict=True
    ):
        target[box][seen] = value[seen]


def _unit(x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats, Floats]:
    length = np.sqrt(x * x + y * y + z * z) + np.float32(1e-6)
    return x / length, y / length, z / length


def _faded(texture: Floats, distance: Floats, reach: float) -> Floats:
    """`texture`, weaker where a pixel covers many of its grains."""
    return np.asarray(texture / (1 + np.square(distance / np.float32(reach))), np.float32)
