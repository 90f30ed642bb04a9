"""The river's surface: mirror image, ground seen through it, waves, glitter, rain, driftwood,
leaves and foam.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgeseg.demo.renderer.lighting import Conditions, Light, leaf_turning
from edgeseg.demo.renderer.noise import Floats, sample_tile, smoothstep
from edgeseg.demo.renderer.world import World


@dataclass(frozen=True)
class WaterPlane:
    """The water plane in the lower part of the picture, one entry a pixel; all (H, W).

    Attributes:
        x, z: where each line of sight meets it.
        distance: along the line of sight.
        depth: of the ground below it, meters.
        direction: of the line of sight, three arrays.
    """

    x: Floats
    z: Floats
    distance: Floats
    depth: Floats
    direction: tuple[Floats, Floats, Floats]


def paint_water(
    world: World,
    sheet: WaterPlane,
    mirrored: Floats,
    bed: Floats,
    shadow: Floats,
    conditions: Conditions,
    shine: Light,
) -> Floats:
    """Linear RGB (H, W, 3) of the surface.

    Args:
        mirrored: what still water would show, (H/2, W/2, 3).
        bed: the ground seen through it, (H, W, 3).
        shadow: (H, W), 1 where the sun reaches the surface.
    """
    random = np.random.default_rng((conditions.seed, 11))
    across, along = _waves(world, sheet, conditions, random)
    height, width = sheet.x.shape
    columns = np.arange(width, dtype=np.float32)[None] + across * np.float32(width * 0.10)
    rows = np.arange(height, dtype=np.float32)[:, None] + along * np.float32(height * 0.22)
    mirror = cv2.remap(
        mirrored, columns / 2, rows / 2, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )

    dx, dy, dz = sheet.direction
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    grazing = np.clip(-dy / length + along * np.float32(0.35), 0.02, 1)
    share = (np.float32(0.04) + np.float32(0.80) * (1 - grazing) ** 4)[..., None]
    body = _body(sheet, bed, shadow, conditions, shine)
    color = body + (mirror - body) * share
    if shine.elevation > 0.02:
        tx, ty, tz = shine.toward
        rise = -dy + np.float32(1.6) * along
        glitter = np.clip(((dx + across) * tx + rise * ty + dz * tz) / length, 0, 1) ** 180
        color += (glitter * shadow * np.float32(1.8))[..., None] * shine.sun
    _paint_floating(color, world, sheet, shadow, conditions, shine, random)
    return np.asarray(color, np.float32)


def _waves(
    world: World, sheet: WaterPlane, conditions: Conditions, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Slopes of the surface across and along the view."""
    run = np.float32(conditions.seconds * (0.5 + 0.5 * conditions.turbidity))
    swell = sample_tile(world.large, sheet.x / 17, (sheet.z + run) / 26)
    ripple = sample_tile(world.fine, (sheet.x + 0.3 * run) / 13, (sheet.z + 1.3 * run) / 19)
    strength = np.float32(0.05 + 0.20 * conditions.wind) / (1 + sheet.distance / 45)
    across, along = strength * (0.5 * swell + ripple), strength * (0.4 * swell - 0.8 * ripple)
    if conditions.rain > 0:
        shift = random.random(2).astype(np.float32)
        rings = sample_tile(world.fine, sheet.x / 5 + shift[0], sheet.z / 5 + shift[1]) ** 3
        along = along + rings * np.float32(0.05 * conditions.rain) / (1 + sheet.distance / 25)
    return across, along


def _body(
    sheet: WaterPlane, bed: Floats, shadow: Floats, conditions: Conditions, shine: Light
) -> Floats:
    """Light out of the water itself: silt and, where it is shallow, the ground."""
    clear, brown = (
        np.array([0.035, 0.06, 0.045], np.float32),
        np.array([0.20, 0.145, 0.085], np.float32),
    )
    silt = clear + (brown - clear) * np.float32(conditions.turbidity)
    lit = (
        shine.ambient * np.float32(0.9)
        + (shadow * np.float32(max(shine.toward[1], 0.1)))[..., None] * shine.sun
    )
    through = np.exp(-np.maximum(sheet.depth, 0) * np.float32(1.6 + 7 * conditions.turbidity))[
        ..., None
    ]
    color = silt * lit
    if shine.lamp:
        reach = np.square(sheet.x + 6.5) + np.square(sheet.z - 12.5) + 46
        color += (
            silt
            * (shine.lamp * 16 / (18 + reach))[..., None]
            * np.array([1.0, 0.82, 0.55], np.float32)
        )
    return np.asarray(color + (bed * np.float32(0.6) - color) * through, np.float32)


def _paint_floating(
    color: Floats,
    world: World,
    sheet: WaterPlane,
    shadow: Floats,
    conditions: Conditions,
    shine: Light,
    random: np.random.Generator,
) -> None:
    """Lay on `color` what drifts: branches, swans, foam behind the piers, leaves in autumn."""
    lit = shine.ambient + shadow[..., None] * shine.sun * np.float32(max(shine.toward[1], 0.15))
    brown, white = (
        np.array([0.12, 0.085, 0.05], np.float32),
        np.array([0.75, 0.75, 0.72], np.float32),
    )
    for _ in range(random.poisson(1.5 + 5 * conditions.turbidity)):
        z, turn = random.uniform(9, 40), random.uniform(0, np.pi)
        x = random.uniform(-8, 10)
        east, north = sheet.x - np.float32(x), sheet.z - np.float32(z)
        one = east * np.float32(np.cos(turn)) + north * np.float32(np.sin(turn))
        two = north * np.float32(np.cos(turn)) - east * np.float32(np.sin(turn))
        bird = random.random() < 0.3 * (1 - conditions.turbidity)
        long, wide = (0.45, 0.3) if bird else (random.uniform(0.6, 2.2), random.uniform(0.12, 0.4))
        inside = np.square(one / np.float32(long)) + np.square(two / np.float32(wide)) < 1
        color[inside] = ((white if bird else brown) * lit)[inside]
    run = np.float32(conditions.seconds * 0.8)
    streaks = sample_tile(world.fine, sheet.x / 3.5, (sheet.z + run) / 30)
    foam = smoothstep(
        3.1 - 1.5 * conditions.turbidity,
        4.2 - 1.5 * conditions.turbidity,
        streaks + 1.2 * _wake(sheet),
    )
    color += (white * lit * np.float32(0.55) - color) * (foam * np.float32(0.7))[..., None]
    fallen = leaf_turning(conditions.day)
    if fallen > 0:
        specks = sample_tile(
            world.fine, sheet.x / 4 + 0.4, (sheet.z + run) / 4
        ) + 0.6 * sample_tile(world.large, sheet.x / 30, sheet.z / 50)
        leaves = smoothstep(2.5 - 0.7 * fallen, 2.8 - 0.7 * fallen, specks)
        color += (np.array([0.36, 0.17, 0.03], np.float32) * lit - color) * (
            leaves * np.float32(0.85)
        )[..., None]


def _wake(sheet: WaterPlane) -> Floats:
    """1 in the broken water downstream of the piers and the gauge's pile, 0 elsewhere."""
    wake = np.zeros_like(sheet.x)
    for x, z, half in ((1.5, 47.6, 1.1), (13.5, 47.6, 1.1), (-3.85, 13.9, 0.6)):
        behind = (sheet.z < z) & (sheet.z > z - 9 * half)
        wake += np.where(
            behind, np.clip(1 - np.abs(sheet.x - np.float32(x)) / np.float32(half), 0, 1), 0
        )
    return wake.astype(np.float32)
