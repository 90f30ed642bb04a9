"""Balls (plants, boulders) and boxes (masonry): where rays meet them, and their looks there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.demo.renderer import materials
from edgeseg.demo.renderer.camera_view import Rays, SurfaceMap, Vectors
from edgeseg.demo.renderer.noise import Floats, fade_texture, sample_tile
from edgeseg.demo.renderer.site_plan import Box, Crown

Window = tuple[slice, slice]  # rows and columns of a picture
EVERYWHERE: Window = (slice(None), slice(None))


def normalize(x: Floats, y: Floats, z: Floats) -> Vectors:
    """Return vectors of length 1."""
    length = np.sqrt(x * x + y * y + z * z) + np.float32(1e-6)
    return x / length, y / length, z / length


def put_crown(
    surface: SurfaceMap, view: Rays, crown: Crown, *, fine: Floats, coarse: Floats
) -> None:
    """Put a ball of leaves or a boulder into `surface` where it is the first thing met.

    A ray o + t d meets the ball of radius r around 0 where |o + t d|^2 = r^2, that is at
    t = (-o.d - sqrt((o.d)^2 - d.d (o.o - r^2))) / d.d. The root divided by d.d r^2 is 1 for a ray
    through the center and 0 at the silhouette, which noise makes ragged.

    Args:
        surface: Is changed.
        view: The rays.
        crown: The ball.
        fine: The noise of leaves.
        coarse: The noise of boulders.
    """
    window = _window_of(view, crown)
    if window is None:
        return
    ox, oy, oz = (o[window] - np.float32(c) for o, c in zip(view.origin, crown.center, strict=True))
    dx, dy, dz = (d[window] for d in view.direction)
    square_radius = np.float32(crown.radius**2)
    dd = dx * dx + dy * dy + dz * dz
    od = ox * dx + oy * dy + oz * dz
    discriminant = od * od - dd * (ox * ox + oy * oy + oz * oz - square_radius)
    t = (-od - np.sqrt(np.maximum(discriminant, 0))) / dd
    x, y, z = (o[window] + t * d[window] for o, d in zip(view.origin, view.direction, strict=True))
    nx, ny, nz = (
        (p - np.float32(c)) / np.float32(crown.radius)
        for p, c in zip((x, y, z), crown.center, strict=True)
    )
    is_plant = crown.material == materials.LEAF
    texture = fine if is_plant else coarse
    scale = 7 * crown.radius**0.5 if is_plant else 9 * crown.radius
    leaves = sample_tile(texture, (x + 0.7 * z) / scale, (y - 0.4 * z) / scale)
    inwardness = discriminant / np.maximum(dd * square_radius, 1e-9)
    inside = (discriminant > 0) & (inwardness + 0.32 * leaves > 0.22)
    visible = inside & (t > view.start[window]) & (t < surface.distance[window])
    lumpy = normalize(nx + 0.35 * leaves * 1.0, ny + 0.35 * leaves * 0.6, nz + 0.35 * leaves * -1.0)
    _put(surface, window, visible, t, (x, y, z), lumpy, crown.material)
    surface.grain[window][visible] = leaves[visible]
    surface.tint[window][visible] = np.float32(crown.hue) + 0.25 * leaves[visible]
    surface.shelter[window][visible] = (0.62 + 0.38 * ny)[visible]


def _window_of(view: Rays, crown: Crown) -> Window | None:
    """Return rows and columns of the rays that can meet the ball; None if there are none.

    It relies on how cameras see: x and z of a direction depend on the column only, y on the row
    only. In plan, a column meets the ball where its ray passes the center at less than the radius.
    """
    ox, oy, oz = (float(o[0, 0]) - c for o, c in zip(view.origin, crown.center, strict=True))
    dx, dz, dy = view.direction[0][0], view.direction[2][0], view.direction[1][:, 0]
    depth = -(ox * dx + oz * dz) / (dx * dx + dz * dz)  # t at which a column passes the center
    passes = np.abs(ox * dz - oz * dx) < crown.radius * np.hypot(dx, dz)
    columns = np.flatnonzero(passes & (depth > 0))
    if not columns.size:
        return None
    near = depth[columns].min() - 2 * crown.radius
    far = depth[columns].max() + 2 * crown.radius
    heights = np.stack((oy + near * dy, oy + far * dy))  # of each row above the center
    rows = np.flatnonzero((heights.min(0) < crown.radius) & (heights.max(0) > -crown.radius))
    if not rows.size:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def put_box(surface: SurfaceMap, view: Rays, box: Box, *, fine: Floats) -> None:
    """Put masonry or reed into `surface` where it is the first thing met.

    A ray is inside the box between the last of its three entries (one for each pair of faces) and
    the first of its three exits; `axis` is the axis of the face by which it enters.

    Args:
        surface: Is changed.
        view: The rays.
        box: The box.
        fine: The noise of its surface.
    """
    near, far = np.full_like(view.start, -np.inf), np.full_like(view.start, np.inf)
    axis = np.zeros(near.shape, np.uint8)
    for number, (o, d) in enumerate(zip(view.origin, view.direction, strict=True)):
        safe = np.where(np.abs(d) < 1e-6, np.float32(1e-6), d)
        at_low = (np.float32(box.low[number]) - o) / safe
        at_high = (np.float32(box.high[number]) - o) / safe
        entry = np.minimum(at_low, at_high)
        axis[entry > near] = number
        near, far = np.maximum(near, entry), np.minimum(far, np.maximum(at_low, at_high))
    visible = (near < far) & (near > view.start) & (near < surface.distance)
    if not visible.any():
        return
    x, y, z = view.at(np.where(visible, near, 0).astype(np.float32))
    if box.gap:
        visible &= np.mod(x, box.gap) < box.post
    if box.material == materials.REED:
        stalks = 0.62 + 0.3 * sample_tile(fine, x / 3, np.full_like(x, box.low[2]))
        visible &= stalks > (y - box.low[1]) / (box.high[1] - box.low[1])
    nx, ny, nz = (
        np.where(axis == n, -np.sign(d), 0).astype(np.float32) for n, d in enumerate(view.direction)
    )
    _put(surface, EVERYWHERE, visible, near, (x, y, z), (nx, ny, nz), box.material)
    along = np.where(axis == 0, z, x)
    across = np.where(axis == 1, z, y)
    grain = fade_texture(sample_tile(fine, along / 7, across / 7), near, 50)
    surface.grain[visible] = grain[visible]
    surface.tint[visible] = sample_tile(fine, along / 3, y / 40)[visible]  # streaks that run down
    surface.shelter[visible] = 0.9
    if box.material == materials.WHITE and box.high[1] - box.low[1] > 2:
        _paint_staff_gauge(surface, box, visible, x, y)
    if box.material == materials.BRICK:
        joints = (np.mod(y, 0.6) < 0.08) & (near < 60)
        surface.grain[visible & joints] -= 1.5


def _paint_staff_gauge(
    surface: SurfaceMap, box: Box, visible: NDArray[np.bool_], x: Floats, y: Floats
) -> None:
    """Paint the black marks of a white board: a tick on its left half every half meter, and a line
    every meter.
    """
    ticks = (np.mod(y, 0.5) < 0.25) & (x < (box.low[0] + box.high[0]) / 2)
    lines = np.mod(y, 1.0) < 0.12
    surface.material[visible & (ticks | lines)] = materials.BLACK


def _put(
    surface: SurfaceMap,
    window: Window,
    visible: NDArray[np.bool_],
    t: Floats,
    where: Vectors,
    normal: Vectors,
    material: int,
) -> None:
    """Write material, distance, place and normal into `window` where `visible`."""
    surface.material[window][visible] = material
    surface.distance[window][visible] = t[visible]
    targets = (surface.x, surface.y, surface.z, *surface.normal)
    for target, value in zip(targets, (*where, *normal), strict=True):
        target[window][visible] = value[visible]
