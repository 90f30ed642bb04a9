"""The sky of a moment: gradient, sun and clouds."""

from __future__ import annotations

import numpy as np

from edgeseg.demo.renderer.lighting import Conditions, Light
from edgeseg.demo.renderer.noise import Floats, sample_tile, smoothstep
from edgeseg.demo.renderer.world import World


def paint_sky(
    world: World, direction: tuple[Floats, Floats, Floats], conditions: Conditions, shine: Light
) -> Floats:
    """Linear RGB (H, W, 3) of the sky in each direction (three (H, W) arrays, y up, any length)."""
    dx, dy, dz = direction
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    height = np.maximum(dy / length, 0)
    rise = np.sqrt(height)[..., None]
    color = shine.horizon + (shine.zenith - shine.horizon) * np.minimum(rise * 1.35, 1)
    if shine.elevation > -0.1:
        tx, ty, tz = shine.toward
        toward = np.clip((dx * tx + dy * ty + dz * tz) / length, 0, 1)
        glow = 0.22 * toward**8 + 0.5 * toward**90 + 14.0 * smoothstep(0.99935, 0.9998, toward)
        color += glow[..., None] * shine.sun * np.float32(1.1)
    far = np.float32(0.10) + np.maximum(dy, 0)
    drift = np.float32(0.0009 * conditions.seconds * (0.3 + conditions.wind))
    u, v = (
        dx / far * np.float32(0.11) + drift + np.float32(conditions.seed % 97 * 0.137),
        dz / far * np.float32(0.07),
    )
    puffs = sample_tile(world.large, u, v) + np.float32(0.35) * sample_tile(
        world.fine, u * 0.9, v * 0.9
    )
    start = 1.6 - 3.4 * conditions.cloud
    thick = smoothstep(start, start + 1.5, puffs)
    relief = puffs - sample_tile(
        world.large, u + np.float32(0.035 * shine.toward[0]), v - np.float32(0.02)
    )
    lit = np.clip(
        np.float32(0.75) + relief * np.float32(0.55) - thick * np.float32(0.25), 0.15, 1.25
    )[..., None]
    white = (
        shine.sun * np.float32(0.42)
        + shine.horizon * np.float32(0.45)
        + shine.zenith * np.float32(0.2)
    )
    cover = (thick * np.minimum(np.float32(0.25) + height * 6, 1) * np.float32(0.95))[..., None]
    return np.asarray(color + (white * lit - color) * cover, np.float32)
