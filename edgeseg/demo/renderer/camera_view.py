"""The camera of the synthetic site: where it hangs, its lines of sight, how still water sends them
up again, and what they meet.

World axes in meters: x to the right across the river, y up from the gauge's zero, z upstream. The
camera keeps its verticals vertical (the horizon is moved by lens shift, not by tilting), so the
mirror image in water is the picture of the rays that go up again where they meet its surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.demo.renderer.noise import Floats

FAR = 900.0  # meters; nothing is met beyond
Vectors = tuple[Floats, Floats, Floats]  # x, y and z of (H, W) points or directions


@dataclass(frozen=True)
class Pose:
    """The place and the direction of the camera.

    Attributes:
        x, y: Its place in meters; z is 0.
        yaw: Its turn to the right of the z axis, radians.
        field_of_view: The horizontal angle that a picture spans, radians.
        horizon: Where the horizon lies, as a share of the picture's height from the top.
    """

    x: float = -8.5
    y: float = 5.4
    yaw: float = 0.16
    field_of_view: float = 1.22
    horizon: float = 0.40

    def focal_length(self, width: int) -> float:
        """Return the focal length in pixels of a picture `width` pixels wide."""
        return float(width / 2 / np.tan(self.field_of_view / 2))

    def horizon_row(self, height: int) -> int:
        """Return the first row below the horizon of a picture `height` pixels high.

        It doubles when the height does, since it is a multiple of 4 where the height is one: a
        horizon at 0.4 is row 76 of 192 and row 152 of 384.
        """
        if height % 4 == 0:
            return round(self.horizon * height / 4) * 4
        return round(self.horizon * height)


@dataclass
class Rays:
    """Lines of sight: origin + t * direction for t from `start`; all arrays (H, W).

    Attributes:
        origin: Where they begin, meters.
        direction: Where they go; of length 1 along the view, so that t is the depth in meters.
        start: The first t that counts.
    """

    origin: Vectors
    direction: Vectors
    start: Floats

    def at(self, t: Floats) -> Vectors:
        """Return the points at `t`."""
        ox, oy, oz = self.origin
        dx, dy, dz = self.direction
        return ox + t * dx, oy + t * dy, oz + t * dz

    def from_row(self, top: int) -> Rays:
        """Return the rays of the rows from `top` down."""
        ox, oy, oz = self.origin
        dx, dy, dz = self.direction
        return Rays(
            (ox[top:], oy[top:], oz[top:]), (dx[top:], dy[top:], dz[top:]), self.start[top:]
        )


@dataclass
class SurfaceMap:
    """The first thing that each ray meets, before any light falls on it; all arrays (H, W).

    Attributes:
        material: Its material, a number of `materials`.
        distance: t along the ray, FAR for the sky.
        x, y, z: Where it is met.
        normal: Its unit normal.
        grain: A texture of brightness, about -2..2.
        tint: A texture of hue, about -2..2.
        shelter: The share of the sky's light that arrives, 0..1.
    """

    material: NDArray[np.uint8]
    distance: Floats
    x: Floats
    y: Floats
    z: Floats
    normal: Vectors
    grain: Floats
    tint: Floats
    shelter: Floats


def camera_rays(pose: Pose, height: int, width: int) -> Rays:
    """Return the lines of sight through the centers of (height, width) pixels."""
    focal = pose.focal_length(width)
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    across = ((columns + 0.5 - width / 2) / focal)[None].repeat(height, 0)
    up = ((pose.horizon_row(height) - 0.5 - rows) / focal)[:, None].repeat(width, 1)
    sine, cosine = np.float32(np.sin(pose.yaw)), np.float32(np.cos(pose.yaw))
    zero = np.zeros_like(across)
    origin = (zero + np.float32(pose.x), zero + np.float32(pose.y), zero)
    direction = (across * cosine + sine, up, cosine - across * sine)
    return Rays(origin, direction, zero + np.float32(1.0))


def reflect_rays(view: Rays, level: float) -> tuple[Rays, Floats]:
    """Mirror rays at a still water surface at the height `level`.

    The mirrored ray begins at the camera's mirror image below the surface, goes up with the same t,
    and counts from where it leaves the water.

    Returns:
        The mirrored rays, and the t at which each ray meets the surface, FAR if never.
    """
    goes_down = view.direction[1] < -1e-3
    t = np.where(
        goes_down,
        (np.float32(level) - view.origin[1]) / np.where(goes_down, view.direction[1], -1.0),
        np.float32(FAR),
    )
    t = np.minimum(t, np.float32(FAR)).astype(np.float32)
    x, y, z = view.origin
    dx, dy, dz = view.direction
    mirrored_y = np.float32(2 * level) - y
    return Rays((x, mirrored_y, z), (dx, -dy, dz), t), t
