"""What a camera at the river sees before any light falls on it: rays against terrain, plants and masonry.

World axes in metres: x to the right across the river, y up from the gauge's zero, z upstream. The camera keeps its
verticals vertical (the horizon is moved by lens shift, not by tilting), so the mirror image in water is the picture of
the rays that go up again where they meet its surface.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgeseg.demo.noise import Field, sample, smoothstep, tile

Floats = NDArray[np.float32]
FAR = 900.0
BEND_STEPS = 8  # entries a metre in the table of the river's course

SKY, EARTH, STONES, GRASS, FOREST, LEAF, REED, CONCRETE, WHITE, BLACK, STEEL, BRICK, ROOF = range(13)


@dataclass(frozen=True)
class Pose:
    """Where the camera hangs and looks; `yaw` in radians to the right, `horizon` as a share of the height from the top."""

    x: float = -8.5
    y: float = 5.4
    yaw: float = 0.16
    field_of_view: float = 1.22
    horizon: float = 0.40

    def focal(self, width: int) -> float:
        """Focal length in pixels of a picture `width` pixels wide."""
        return float(width / 2 / np.tan(self.field_of_view / 2))

    def top(self, height: int) -> int:
        """The first row below the horizon; doubles when the picture does."""
        return round(self.horizon * height / 4) * 4 if height % 4 == 0 else round(self.horizon * height)


@dataclass
class Rays:
    """Lines of sight: origin + t * direction from t = `start`; all (H, W), directions have length 1 along the view."""

    origin: tuple[Floats, Floats, Floats]
    direction: tuple[Floats, Floats, Floats]
    start: Floats

    def at(self, t: Floats) -> tuple[Floats, Floats, Floats]:
        ox, oy, oz = self.origin
        dx, dy, dz = self.direction
        return ox + t * dx, oy + t * dy, oz + t * dz


@dataclass
class Surface:
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


@dataclass(frozen=True)
class Box:
    """Axis-aligned masonry; `gap` cuts it into posts of `post` metres along x."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    material: int
    gap: float = 0.0
    post: float = 0.0


@dataclass(frozen=True)
class Crown:
    """A ball of leaves, or a boulder; `hue` -1..1 tells the plants apart and orders their autumn."""

    center: tuple[float, float, float]
    radius: float
    hue: float
    material: int = LEAF


def rays(pose: Pose, height: int, width: int) -> Rays:
    """The lines of sight through the centres of (height, width) pixels."""
    focal = pose.focal(width)
    across = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) / focal)[None].repeat(height, 0)
    up = ((pose.top(height) - 0.5 - np.arange(height, dtype=np.float32)) / focal)[:, None].repeat(width, 1)
    sine, cosine = np.float32(np.sin(pose.yaw)), np.float32(np.cos(pose.yaw))
    zero = np.zeros_like(across)
    origin = (zero + np.float32(pose.x), zero + np.float32(pose.y), zero)
    return Rays(origin, (across * cosine + sine, up, cosine - across * sine), zero + np.float32(1.0))


def bounce(view: Rays, level: float) -> tuple[Rays, Floats]:
    """What a still water surface at `level` shows each ray, and the t where the ray meets it (FAR if never)."""
    down = view.direction[1] < -1e-3
    t = np.where(down, (np.float32(level) - view.origin[1]) / np.where(down, view.direction[1], -1.0), np.float32(FAR))
    t = np.minimum(t, np.float32(FAR)).astype(np.float32)
    x, y, z = view.origin
    dx, dy, dz = view.direction
    mirrored = np.float32(2 * level) - y
    return Rays((x, mirrored, z), (dx, -dy, dz), t), t


@dataclass
class World:
    """Everything that stands at the site, grown from one seed."""

    seed: int
    large: Field = field(init=False)
    fine: Field = field(init=False)
    boxes: list[Box] = field(init=False)
    crowns: list[Crown] = field(init=False)
    _bend: Floats = field(init=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        self.large = tile(random, 2.0)
        self.fine = tile(random, 1.1, low=6)
        z = np.arange(int(FAR * BEND_STEPS)) / BEND_STEPS
        self._bend = np.stack(_river(z), -1).astype(np.float32)
        self.boxes = list(_boxes())
        self.crowns = list(self._crowns(random))

    def bank(self, x: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Metres from the river's edge at level 0 (negative in the water) and the side (-1 left, 1 right)."""
        row = np.clip(z * np.float32(BEND_STEPS), 0, len(self._bend) - 1).astype(np.int32)
        bend = self._bend[row]
        offset = x - bend[..., 0]
        return np.abs(offset) - bend[..., 1], np.sign(offset)

    def height(self, x: Floats, z: Floats) -> Floats:
        """The ground at x, z, without water."""
        edge, side = self.bank(x, z)
        rough = sample(self.large, x / 37, z / 37)
        stones = sample(self.fine, x / 9, z / 9)
        dry = smoothstep(-5, 8, edge + rough)
        ground = -2.2 + (5.0 + 0.6 * side) * dry + 0.16 * rough + 0.09 * stones * (1 - 0.6 * dry)
        hills = smoothstep(90, 420, z) * (26 + 9 * rough) + smoothstep(30, 160, edge) * (14 + 4 * rough)
        return (ground + hills * smoothstep(5, 30, edge)).astype(np.float32)

    def look(self, view: Rays) -> Surface:
        """Follow the rays of `view` to the first surface."""
        t, material = self._terrain(view)
        x, y, z = view.at(t)
        zero = np.zeros_like(t)
        surface = Surface(material, t, x, y, z, self._slope(x, z, t), zero, zero.copy(), zero + np.float32(1.0))
        self._cover(surface)
        for box in self.boxes:
            _put_box(surface, view, box, self.fine)
        for crown in self.crowns:
            self._put_crown(surface, view, crown)
        surface.distance[surface.material == SKY] = FAR
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
        return t, np.where(t < FAR, EARTH, SKY).astype(np.uint8)

    def _slope(self, x: Floats, z: Floats, t: Floats) -> tuple[Floats, Floats, Floats]:
        reach = np.maximum(t * np.float32(0.006), 0.08)
        here = self.height(x, z)
        return _unit(here - self.height(x + reach, z), reach, here - self.height(x, z + reach))

    def _cover(self, ground: Surface) -> None:
        """Lay stones, earth, grass and far forest on the bare terrain."""
        edge, side = self.bank(ground.x, ground.z)
        patches = sample(self.large, ground.x / 23 + 0.3, ground.z / 23)
        blades = sample(self.fine, ground.x / 2.5, ground.z / 2.5)
        ground.grain[:] = _faded(sample(self.fine, ground.x / 5, ground.z / 5), ground.distance, 40)
        ground.tint[:] = patches
        land = ground.material == EARTH
        green = edge * 0.30 + patches * 0.9 + 0.3 * blades - 1.9 - 0.2 * side
        ground.material[land & (patches - 0.25 * edge + 0.3 * blades > -0.4)] = STONES
        ground.material[land & (green > 0)] = GRASS
        ground.material[land & (ground.z > 75) & (edge > 9 + 4 * patches)] = FOREST
        grain = np.where(ground.material == GRASS, _faded(blades, ground.distance, 60), ground.grain)
        ground.grain[:] = np.where(ground.material == FOREST, sample(self.large, ground.x / 60, ground.y / 18), grain)

    def _put_crown(self, surface: Surface, view: Rays, crown: Crown) -> None:
        box = _bounds(view, crown)
        if box is None:
            return
        ox, oy, oz = (o[box] - np.float32(c) for o, c in zip(view.origin, crown.center, strict=True))
        dx, dy, dz = (d[box] for d in view.direction)
        square = dx * dx + dy * dy + dz * dz
        half = ox * dx + oy * dy + oz * dz
        inside = half * half - square * (ox * ox + oy * oy + oz * oz - np.float32(crown.radius**2))
        t = (-half - np.sqrt(np.maximum(inside, 0))) / square
        x, y, z = (o[box] + t * d[box] for o, d in zip(view.origin, view.direction, strict=True))
        normal = tuple((p - np.float32(c)) / np.float32(crown.radius) for p, c in zip((x, y, z), crown.center, strict=True))
        leafy = crown.material == LEAF
        coarse = 7 * crown.radius**0.5 if leafy else 9 * crown.radius
        leaves = sample(self.fine if leafy else self.large, (x + 0.7 * z) / coarse, (y - 0.4 * z) / coarse)
        rim = inside / np.maximum(square * np.float32(crown.radius**2), 1e-9)  # 0 at the silhouette, 1 in the middle
        ragged = rim + 0.32 * leaves > 0.22
        seen = (inside > 0) & (t > view.start[box]) & (t < surface.distance[box]) & ragged
        lumpy = _unit(*(n + 0.35 * leaves * s for n, s in zip(normal, (1.0, 0.6, -1.0), strict=True)))
        _paint(surface, box, seen, t, (x, y, z), lumpy, crown.material)
        surface.grain[box][seen] = leaves[seen]
        surface.tint[box][seen] = np.float32(crown.hue) + 0.25 * leaves[seen]
        surface.shelter[box][seen] = (0.62 + 0.38 * normal[1])[seen]

    def _crowns(self, random: np.random.Generator) -> Iterator[Crown]:
        for x, z, size in _trees(random):
            ground = float(self.height(np.full((1, 1), x, np.float32), np.full((1, 1), z, np.float32))[0, 0])
            hue = float(random.uniform(-1, 1))
            for _ in range(9 if size > 1.5 else 4):
                shift = random.normal(0, 0.42 * size, 3)
                height = ground + size * (0.55 if size < 1.5 else 1.5) + shift[1] * 1.3
                yield Crown((x + shift[0], height, z + shift[2]), size * float(random.uniform(0.5, 0.85)), hue)
        for x, z, size in _boulders(random):
            ground = float(self.height(np.full((1, 1), x, np.float32), np.full((1, 1), z, np.float32))[0, 0])
            yield Crown((x, ground + 0.15 * size, z), size, float(random.uniform(-1, 1)), STONES)
        for x, y, z, size in ((-9.3, 8.0, 6.2, 0.55), (-8.7, 8.2, 6.6, 0.5), (-9.9, 7.5, 6.4, 0.5), (-10.3, 8.1, 6.3, 0.7)):
            yield Crown((x, y, z), size, 0.2)  # a branch that hangs into the picture


def _bounds(view: Rays, crown: Crown) -> tuple[slice, slice] | None:
    """Rows and columns that can see the crown; x and z of a direction depend on the column only, y on the row only."""
    ox, oy, oz = (float(o[0, 0]) - c for o, c in zip(view.origin, crown.center, strict=True))
    dx, dz, dy = view.direction[0][0], view.direction[2][0], view.direction[1][:, 0]
    depth = -(ox * dx + oz * dz) / (dx * dx + dz * dz)
    columns = np.flatnonzero((np.abs(ox * dz - oz * dx) < crown.radius * np.hypot(dx, dz)) & (depth > 0))
    if not columns.size:
        return None
    near, far = depth[columns].min() - 2 * crown.radius, depth[columns].max() + 2 * crown.radius
    heights = np.stack((oy + near * dy, oy + far * dy))
    rows = np.flatnonzero((heights.min(0) < crown.radius) & (heights.max(0) > -crown.radius))
    if not rows.size:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _river(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The middle of the river and half its width, by distance upstream."""
    return 3.0 + 5.0 * np.sin(z / 42 + 0.2) + np.square(np.minimum(z, 300.0)) / 1500, 10.0 + 1.5 * np.sin(z / 23)


def _trees(random: np.random.Generator) -> Iterator[tuple[float, float, float]]:
    """x, z and size of every tree and bush: some placed for the picture, the rest along the banks."""
    yield from ((-13.2, 17.0, 1.1), (-11.6, 22.5, 0.8), (-15.5, 26.0, 2.6), (-12.0, 36.0, 1.2), (26.0, 47.0, 2.4))
    yield from ((-6.7, 29.0, 0.55), (-5.9, 34.0, 0.7), (22.0, 47.0, 1.9), (14.2, 52.0, 1.3), (-16.5, 13.5, 1.3))
    far = np.arange(54, 200, 7.0)
    for z, middle, half in zip(far, *_river(far), strict=True):
        for side in (-1, 1):
            x = middle + side * (half + random.uniform(2.0, 9.0))
            yield float(x), float(z + random.uniform(-3, 3)), float(random.uniform(0.9, 3.4))


def _boulders(random: np.random.Generator) -> Iterator[tuple[float, float, float]]:
    """x, z and radius of the stones along the water's edge."""
    for _ in range(90):
        z = random.uniform(8, 60)
        middle, half = _river(np.array([z]))
        side = -1 if random.random() < 0.75 else 1
        yield float(middle[0] + side * (half[0] + random.normal(0.8, 1.6))), z, float(np.minimum(random.gamma(2.5, 0.1) + 0.1, 0.5))


def _boxes() -> Iterator[Box]:
    yield Box((-70, 5.3, 47), (90, 6.4, 52), CONCRETE)  # the bridge: deck, rail, posts, piers, abutment
    yield Box((-70, 7.4, 47), (90, 7.55, 47.2), STEEL)
    yield Box((-70, 6.4, 47), (90, 7.4, 47.2), STEEL, gap=2.2, post=0.24)
    yield Box((0.6, -4, 47.6), (2.4, 5.3, 51.4), CONCRETE)
    yield Box((12.6, -4, 47.6), (14.4, 5.3, 51.4), CONCRETE)
    yield Box((-17, -4, 47.2), (-11.5, 5.3, 51.8), BRICK)
    yield Box((12.5, -4, 25), (30, 2.5, 44), BRICK)  # the quay on the right bank and its rail
    yield Box((12.6, 3.4, 25), (12.7, 3.5, 44), STEEL)
    for z in range(26, 45, 3):
        yield Box((12.6, 2.4, z), (12.75, 3.5, z + 0.15), STEEL)
    yield Box((-4.3, -4, 14.0), (-3.4, 3.0, 14.6), CONCRETE)  # the gauge: pile, board, then mast and sensor arm
    yield Box((-4.15, -4, 13.9), (-3.55, 2.9, 14.0), WHITE)
    yield Box((-6.6, -1, 12.5), (-6.48, 6.9, 12.62), STEEL)
    yield Box((-6.6, 6.3, 12.5), (-4.9, 6.4, 12.62), STEEL)
    yield Box((-5.25, 6.05, 12.4), (-4.85, 6.3, 12.75), WHITE)
    for x, z, wide in ((-6.3, 18.0, 1.4), (-5.7, 21.0, 1.5), (-5.0, 26.5, 1.6), (-4.6, 33.0, 2.0), (-8.0, 9.6, 1.3)):
        yield Box((x, -2, z), (x + wide, 1.5, z + 0.1), REED)
    yield Box((-32, 2, 66), (-24, 8.5, 74), BRICK)  # a house
    yield Box((-32.8, 8.5, 65.4), (-23.2, 9.6, 74.6), ROOF)
    yield Box((-31.6, 9.6, 67), (-24.4, 10.8, 73), ROOF)


def _put_box(surface: Surface, view: Rays, box: Box, fine: Field) -> None:
    near, far = np.full_like(view.start, -np.inf), np.full_like(view.start, np.inf)
    axis = np.zeros(near.shape, np.uint8)
    for number, (o, d) in enumerate(zip(view.origin, view.direction, strict=True)):
        safe = np.where(np.abs(d) < 1e-6, np.float32(1e-6), d)
        one, two = (np.float32(box.low[number]) - o) / safe, (np.float32(box.high[number]) - o) / safe
        enter = np.minimum(one, two)
        axis[enter > near] = number
        near, far = np.maximum(near, enter), np.minimum(far, np.maximum(one, two))
    seen = (near < far) & (near > view.start) & (near < surface.distance)
    if not seen.any():
        return
    x, y, z = view.at(np.where(seen, near, 0).astype(np.float32))
    if box.gap:
        seen &= np.mod(x, box.gap) < box.post
    if box.material == REED:
        seen &= 0.62 + 0.3 * sample(fine, x / 3, np.full_like(x, box.low[2])) > (y - box.low[1]) / (box.high[1] - box.low[1])
    facing = tuple(np.where(axis == n, -np.sign(d), 0).astype(np.float32) for n, d in enumerate(view.direction))
    everything = slice(None), slice(None)
    _paint(surface, everything, seen, near, (x, y, z), facing, box.material)  # type: ignore[arg-type]
    along = np.where(axis == 0, z, x)
    surface.grain[seen] = _faded(sample(fine, along / 7, np.where(axis == 1, z, y) / 7), near, 50)[seen]
    surface.tint[seen] = sample(fine, along / 3, y / 40)[seen]  # streaks that run down
    surface.shelter[seen] = 0.9
    if box.material == WHITE and box.high[1] - box.low[1] > 2:
        ticks = (np.mod(y, 0.5) < 0.25) & (x < (box.low[0] + box.high[0]) / 2)
        surface.material[seen & (ticks | (np.mod(y, 1.0) < 0.12))] = BLACK
    if box.material == BRICK:
        joints = (np.mod(y, 0.6) < 0.08) & (near < 60)
        surface.grain[seen & joints] -= 1.5


def _paint(
    surface: Surface, box: tuple[slice, slice], seen: NDArray[np.bool_], t: Floats, where: tuple[Floats, Floats, Floats],
    normal: tuple[Floats, Floats, Floats], material: int,
) -> None:  # fmt: skip
    surface.material[box][seen] = material
    surface.distance[box][seen] = t[seen]
    for target, value in zip((surface.x, surface.y, surface.z, *surface.normal), (*where, *normal), strict=True):
        target[box][seen] = value[seen]


def _unit(x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats, Floats]:
    length = np.sqrt(x * x + y * y + z * z) + np.float32(1e-6)
    return x / length, y / length, z / length


def _faded(texture: Floats, distance: Floats, reach: float) -> Floats:
    """`texture`, weaker where a pixel covers many of its grains."""
    return texture / (1 + np.square(distance / np.float32(reach)))
