"""The river's surface: mirror image, ground seen through it, waves, glitter, rain, driftwood,
leaves and foam.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgeseg.demo.renderer.camera_view import Vectors
from edgeseg.demo.renderer.lighting import LAMP, Conditions, Light
from edgeseg.demo.renderer.materials import leaf_turning, rgb
from edgeseg.demo.renderer.noise import Floats, sample_tile, smoothstep
from edgeseg.demo.renderer.world import World

# x, z and half the width of what breaks the water: two piers and the gauge's pile.
OBSTACLES = ((1.5, 47.6, 1.1), (13.5, 47.6, 1.1), (-3.85, 13.9, 0.6))


@dataclass(frozen=True)
class WaterPlane:
    """The water plane in the lower part of the picture, one entry a pixel; all (H, W).

    Attributes:
        x, z: Where each line of sight meets it, meters.
        distance: Along the line of sight.
        depth: Of the ground below it, meters.
        direction: Of the line of sight.
    """

    x: Floats
    z: Floats
    distance: Floats
    depth: Floats
    direction: Vectors


def paint_water(
    world: World,
    plane: WaterPlane,
    mirrored: Floats,
    ground: Floats,
    sunlit: Floats,
    conditions: Conditions,
    light: Light,
) -> Floats:
    """Paint the surface.

    Args:
        world: The site, whose noise makes the waves.
        plane: Where it is seen.
        mirrored: What still water would show, (H/2, W/2, 3).
        ground: The ground seen through it, (H, W, 3).
        sunlit: (H, W), 1 where the sun reaches the surface.
        conditions: The moment.
        light: Its light.

    Returns:
        (H, W, 3) linear RGB.
    """
    random = np.random.default_rng((conditions.seed, 11))
    across, along = _wave_slopes(world, plane, conditions, random)
    height, width = plane.x.shape
    # Waves bend the mirror image: each pixel looks it up a little to the side, above or below.
    columns = np.arange(width, dtype=np.float32)[None] + across * np.float32(width * 0.10)
    rows = np.arange(height, dtype=np.float32)[:, None] + along * np.float32(height * 0.22)
    mirror = cv2.remap(
        mirrored, columns / 2, rows / 2, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )

    dx, dy, dz = plane.direction
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    # Like Fresnel's law: the flatter the look, the more is mirrored.
    steepness = np.clip(-dy / length + along * np.float32(0.35), 0.02, 1)
    mirror_share = (np.float32(0.04) + np.float32(0.80) * (1 - steepness) ** 4)[..., None]
    body = _paint_body(plane, ground, sunlit, conditions, light)
    color = body + (mirror - body) * mirror_share
    if light.elevation > 0.02:
        tx, ty, tz = light.toward
        # The mirrored line of sight, tilted by the waves, against the direction of the sun.
        rise = -dy + np.float32(1.6) * along
        glitter = np.clip(((dx + across) * tx + rise * ty + dz * tz) / length, 0, 1) ** 180
        color += (glitter * sunlit * np.float32(1.8))[..., None] * light.sun
    _paint_floating(color, world, plane, sunlit, conditions, light, random)
    return np.asarray(color, np.float32)


def _wave_slopes(
    world: World, plane: WaterPlane, conditions: Conditions, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the slopes of the surface across and along the view, smaller in the distance."""
    run = np.float32(conditions.seconds * (0.5 + 0.5 * conditions.turbidity))  # meters downstream
    swell = sample_tile(world.large, plane.x / 17, (plane.z + run) / 26)
    ripple = sample_tile(world.fine, (plane.x + 0.3 * run) / 13, (plane.z + 1.3 * run) / 19)
    strength = np.float32(0.05 + 0.20 * conditions.wind) / (1 + plane.distance / 45)
    across, along = strength * (0.5 * swell + ripple), strength * (0.4 * swell - 0.8 * ripple)
    if conditions.rain > 0:
        shift = random.random(2).astype(np.float32)
        rings = sample_tile(world.fine, plane.x / 5 + shift[0], plane.z / 5 + shift[1]) ** 3
        along = along + rings * np.float32(0.05 * conditions.rain) / (1 + plane.distance / 25)
    return across, along


def _paint_body(
    plane: WaterPlane, ground: Floats, sunlit: Floats, conditions: Conditions, light: Light
) -> Floats:
    """Return the light out of the water itself: silt and, where it is shallow, the ground."""
    clear, brown = rgb(0.035, 0.06, 0.045), rgb(0.20, 0.145, 0.085)
    silt = clear + (brown - clear) * np.float32(conditions.turbidity)
    sunlight = (sunlit * np.float32(max(light.toward[1], 0.1)))[..., None] * light.sun
    lit = light.ambient * np.float32(0.9) + sunlight
    density = np.float32(1.6 + 7 * conditions.turbidity)  # of the silt, per meter
    ground_share = np.exp(-np.maximum(plane.depth, 0) * density)[..., None]
    color = silt * lit
    if light.lamp:
        # 46 is the square of the lamp's height above the water, in meters.
        square_distance = np.square(plane.x - LAMP[0]) + np.square(plane.z - LAMP[2]) + 46
        from_lamp = (light.lamp * 16 / (18 + square_distance))[..., None]
        color += silt * from_lamp * rgb(1.0, 0.82, 0.55)
    return np.asarray(color + (ground * np.float32(0.6) - color) * ground_share, np.float32)


def _paint_floating(
    color: Floats,
    world: World,
    plane: WaterPlane,
    sunlit: Floats,
    conditions: Conditions,
    light: Light,
    random: np.random.Generator,
) -> None:
    """Lay on `color` what drifts: branches, swans, foam behind the piers, leaves in autumn."""
    sunlight = sunlit[..., None] * light.sun * np.float32(max(light.toward[1], 0.15))
    lit = light.ambient + sunlight
    brown, white = rgb(0.12, 0.085, 0.05), rgb(0.75, 0.75, 0.72)
    for _ in range(random.poisson(1.5 + 5 * conditions.turbidity)):
        inside, is_swan = _drifting_ellipse(plane, conditions.turbidity, random)
        color[inside] = ((white if is_swan else brown) * lit)[inside]

    run = np.float32(conditions.seconds * 0.8)  # meters downstream
    streaks = sample_tile(world.fine, plane.x / 3.5, (plane.z + run) / 30)
    start = 3.1 - 1.5 * conditions.turbidity
    foam = smoothstep(start, 4.2 - 1.5 * conditions.turbidity, streaks + 1.2 * _wake(plane))
    color += (white * lit * np.float32(0.55) - color) * (foam * np.float32(0.7))[..., None]

    turned = leaf_turning(conditions.day)
    if turned > 0:
        specks = sample_tile(world.fine, plane.x / 4 + 0.4, (plane.z + run) / 4)
        specks = specks + 0.6 * sample_tile(world.large, plane.x / 30, plane.z / 50)
        leaves = smoothstep(2.5 - 0.7 * turned, 2.8 - 0.7 * turned, specks)
        leaf_color = rgb(0.36, 0.17, 0.03) * lit
        color += (leaf_color - color) * (leaves * np.float32(0.85))[..., None]


def _drifting_ellipse(
    plane: WaterPlane, turbidity: float, random: np.random.Generator
) -> tuple[Floats, bool]:
    """Draw a branch or a swan: an ellipse somewhere on the water.

    Returns:
        (H, W), true inside it, and whether it is a swan.
    """
    z, turn = random.uniform(9, 40), random.uniform(0, np.pi)
    x = random.uniform(-8, 10)
    east, north = plane.x - np.float32(x), plane.z - np.float32(z)
    sine, cosine = np.float32(np.sin(turn)), np.float32(np.cos(turn))
    along, across = east * cosine + north * sine, north * cosine - east * sine
    is_swan = random.random() < 0.3 * (1 - turbidity)
    half_length, half_width = (
        (0.45, 0.3) if is_swan else (random.uniform(0.6, 2.2), random.uniform(0.12, 0.4))
    )
    squares = np.square(along / np.float32(half_length)) + np.square(
        across / np.float32(half_width)
    )
    return squares < 1, is_swan


def _wake(plane: WaterPlane) -> Floats:
    """Return 1 in the broken water downstream of the obstacles, 0 elsewhere, (H, W)."""
    wake = np.zeros_like(plane.x)
    for x, z, half in OBSTACLES:
        behind = (plane.z < z) & (plane.z > z - 9 * half)
        strength = np.clip(1 - np.abs(plane.x - np.float32(x)) / np.float32(half), 0, 1)
        wake += np.where(behind, strength, 0)
    return wake.astype(np.float32)
