"""The sky of a moment: gradient, sun and clouds."""

from __future__ import annotations

import numpy as np

from edgeseg.demo.renderer.camera_view import Vectors
from edgeseg.demo.renderer.lighting import NIGHT, Conditions, Light
from edgeseg.demo.renderer.noise import Floats, sample_tile, smoothstep
from edgeseg.demo.renderer.world import World


def paint_sky(world: World, direction: Vectors, conditions: Conditions, light: Light) -> Floats:
    """Paint the sky in each direction.

    Args:
        world: The site, whose noise makes the clouds.
        direction: Three (H, W) arrays, y up, of any length.
        conditions: The moment.
        light: Its light.

    Returns:
        (H, W, 3) linear RGB.
    """
    dx, dy, dz = direction
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    height = np.maximum(dy / length, 0)  # sine of the height above the horizon
    rise = np.sqrt(height)[..., None]
    color = light.horizon + (light.zenith - light.horizon) * np.minimum(rise * 1.35, 1)
    if light.elevation > NIGHT:
        tx, ty, tz = light.toward
        toward = np.clip((dx * tx + dy * ty + dz * tz) / length, 0, 1)  # cosine to the sun
        # A wide and a narrow glow, and the disc.
        glow = 0.22 * toward**8 + 0.5 * toward**90 + 14.0 * smoothstep(0.99935, 0.9998, toward)
        color += glow[..., None] * light.sun * np.float32(1.1)
    clouds, cover = _paint_clouds(world, direction, height, conditions, light)
    return np.asarray(color + (clouds - color) * cover, np.float32)


def _paint_clouds(
    world: World, direction: Vectors, height: Floats, conditions: Conditions, light: Light
) -> tuple[Floats, Floats]:
    """Return the clouds' color (H, W, 3) and how much they cover (H, W, 1), 0..1.

    They lie on a plane high above: a direction meets it at (dx, dz) / dy, so that they crowd
    towards the horizon.
    """
    dx, dy, dz = direction
    far = np.float32(0.10) + np.maximum(dy, 0)
    drift = np.float32(0.0009 * conditions.seconds * (0.3 + conditions.wind))
    u = dx / far * np.float32(0.11) + drift + np.float32(conditions.seed % 97 * 0.137)
    v = dz / far * np.float32(0.07)
    puffs = sample_tile(world.large, u, v)
    puffs = puffs + np.float32(0.35) * sample_tile(world.fine, u * 0.9, v * 0.9)
    start = 1.6 - 3.4 * conditions.cloud
    thickness = smoothstep(start, start + 1.5, puffs)
    # Brighter where the cloud falls off towards the sun, darker where it is thick.
    sunward_u = u + np.float32(0.035 * light.toward[0])
    relief = puffs - sample_tile(world.large, sunward_u, v - np.float32(0.02))
    brightness = np.float32(0.75) + relief * np.float32(0.55) - thickness * np.float32(0.25)
    lit = np.clip(brightness, 0.15, 1.25)[..., None]
    white = (
        light.sun * np.float32(0.42)
        + light.horizon * np.float32(0.45)
        + light.zenith * np.float32(0.2)
    )
    thinning = np.minimum(np.float32(0.25) + height * 6, 1)  # towards the horizon
    cover = (thickness * thinning * np.float32(0.95))[..., None]
    return white * lit, cover
