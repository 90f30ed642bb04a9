"""The camera of the synthetic site: where it hangs, its lines of sight, and how still water sends
them up again.

World axes in meters: x to the right across the river, y up from the gauge's zero, z upstream. The
camera keeps its verticals vertical (the horizon is moved by lens shift, not by tilting), so the
mirror image in water is the picture of the rays that go up again where they meet its surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.demo.renderer.noise import Floats

FAR = 900.0


@dataclass(frozen=True)
class Pose:
    """Where the camera hangs and looks: `yaw` in radians to the right, `horizon` is a share of the
    height.
    """

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
        return (
            round(self.horizon * height / 4) * 4
            if height % 4 == 0
            else round(self.horizon * height)
        )


@dataclass
class Rays:
    """Lines of sight: origin + t * direction from t = `start`; all (H, W), directions have length 1
    along the view.
    """

    origin: tuple[Floats, Floats, Floats]
    direction: tuple[Floats, Floats, Floats]
    start: Floats

    def at(self, t: Floats) -> tuple[Floats, Floats, Floats]:
        ox, oy, oz = self.origin
        dx, dy, dz = self.direction
        return ox + t * dx, oy + t * dy, oz + t * dz


def camera_rays(pose: Pose, height: int, width: int) -> Rays:
    """The lines of sight through the centers of (height, width) pixels."""
    focal = pose.focal(width)
    across = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) / focal)[None].repeat(
        height, 0
    )
    up = ((pose.top(height) - 0.5 - np.arange(height, dtype=np.float32)) / focal)[:, None].repeat(
        width, 1
    )
    sine, cosine = np.float32(np.sin(pose.yaw)), np.float32(np.cos(pose.yaw))
    zero = np.zeros_like(across)
    origin = (zero + np.float32(pose.x), zero + np.float32(pose.y), zero)
    return Rays(
        origin, (across * cosine + sine, up, cosine - across * sine), zero + np.float32(1.0)
    )


def reflect_rays(view: Rays, level: float) -> tuple[Rays, Floats]:
    """What a still water surface at `level` shows each ray, and the t where the ray meets it (FAR
    if never).
    """
    down = view.direction[1] < -1e-3
    t = np.where(
        down,
        (np.float32(level) - view.origin[1]) / np.where(down, view.direction[1], -1.0),
        np.float32(FAR),
    )
    t = np.minimum(t, np.float32(FAR)).astype(np.float32)
    x, y, z = view.origin
    dx, dy, dz = view.direction
    mirrored = np.float32(2 * level) - y
    return Rays((x, mirrored, z), (dx, -dy, dz), t), t
