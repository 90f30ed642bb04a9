"""Weather and light: where the sun stands, what color everything has on that day, how bright each
surface is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.demo.renderer import site_plan as plan
from edgeseg.demo.renderer.noise import Floats, sample_tile, smoothstep
from edgeseg.demo.renderer.world import SurfaceMap, World

LATITUDE = 0.84  # radians
# compass direction that the camera looks in, radians: summer's evening sun stands in the picture
HEADING = 4.9
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Conditions:
    """One moment at the site.

    Attributes:
        day: of the year, 1..365; leaves turn from about 255 to 300.
        hour: solar time, 0..24.
        seconds: of waves, clouds and swaying leaves.
        cloud, rain, fog, wind, dirt: 0 none to 1 severe; `dirt` is on the lens.
        level: of the water in meters above the gauge's zero, about -0.8..1.8.
        turbidity: 0 clear and green to 1 brown.
        seed: of everything accidental in the frame: noise, drops, driftwood, boats.
    """

    day: float = 170.0
    hour: float = 11.0
    seconds: float = 0.0
    cloud: float = 0.3
    rain: float = 0.0
    fog: float = 0.0
    wind: float = 0.3
    dirt: float = 0.0
    level: float = 0.0
    turbidity: float = 0.3
    seed: int = 0


@dataclass(frozen=True)
class Light:
    """What shines: colors are linear RGB, `toward` points to the sun (or the moon)."""

    toward: Vector
    elevation: float
    sun: Floats
    zenith: Floats
    horizon: Floats
    ambient: Floats
    lamp: float


def light_at(conditions: Conditions) -> Light:
    """The light of a moment; positions from the usual declination and hour-angle formulas."""
    declination = 0.409 * np.sin(2 * np.pi * (284 + conditions.day) / 365)
    angle = (conditions.hour - 12) * np.pi / 12
    sine = np.sin(LATITUDE) * np.sin(declination) + np.cos(LATITUDE) * np.cos(declination) * np.cos(
        angle
    )
    elevation = float(np.arcsin(sine))
    azimuth = (
        np.arctan2(
            np.sin(angle), np.cos(angle) * np.sin(LATITUDE) - np.tan(declination) * np.cos(LATITUDE)
        )
        + np.pi
    )
    shown = (
        elevation if elevation > -0.1 else 0.6
    )  # at night the moon lights the scene from where the sun is not
    turn = float(azimuth) - HEADING + (0.0 if elevation > -0.1 else 2.0)
    toward = (
        float(np.cos(shown) * np.sin(turn)),
        float(np.sin(shown)),
        float(np.cos(shown) * np.cos(turn)),
    )

    up = float(np.clip((elevation + 0.10) / 0.30, 0, 1))  # 0 at night, 1 once the sun is well up
    warm = float(np.clip(1 - elevation / 0.45, 0, 1)) * up
    clear = 1 - conditions.cloud
    sun = _rgb(1.0, 0.95, 0.86) * (1 - warm) + _rgb(1.0, 0.52, 0.22) * warm
    sun = sun * (
        2.1 * max(0.0, float(np.sin(max(elevation, 0) + 0.06))) ** 0.5
    ) * clear**1.3 * up + _rgb(0.05, 0.06, 0.09) * (1 - up)
    blue, gray = _rgb(0.20, 0.40, 0.82), _rgb(0.52, 0.55, 0.60)
    night = _rgb(0.012, 0.016, 0.035)
    zenith = (blue * clear + gray * (1 - clear)) * (0.25 + 0.75 * up) * up + night
    pale = _rgb(0.50, 0.66, 0.92) * (1 - warm) + _rgb(1.05, 0.62, 0.40) * warm
    horizon = (pale * clear + _rgb(0.72, 0.74, 0.76) * (1 - clear)) * (
        0.15 + 0.85 * up
    ) * up + night * 1.6
    ambient = 0.60 * zenith + 0.35 * horizon
    lamp = float(np.clip(0.04 - elevation, 0, 0.12) / 0.12)
    return Light(toward, elevation, sun, zenith, horizon, ambient.astype(np.float32), lamp)


def leaf_turning(day: float) -> float:
    """How far leaves have turned: 0 in summer, 1 from November."""
    return float(np.clip((day - 250) / 50, 0, 1))


def material_colors(conditions: Conditions) -> tuple[Floats, Floats]:
    """Color of each material and how its `tint` shifts it, both (materials, 3) linear RGB."""
    turned, dry = leaf_turning(conditions.day), float(np.clip((conditions.day - 175) / 60, 0, 1))
    table = np.zeros((13, 3), np.float32)
    shift = np.zeros((13, 3), np.float32)
    table[plan.EARTH] = 0.22, 0.155, 0.095
    table[plan.STONES] = 0.30, 0.285, 0.255
    table[plan.GRASS] = _mix(
        (0.115, 0.175, 0.045), (0.25, 0.215, 0.085), 0.55 * dry * (1 - turned) + 0.75 * turned
    )
    table[plan.FOREST] = _mix((0.045, 0.085, 0.03), (0.17, 0.085, 0.03), 0.8 * turned)
    table[plan.LEAF] = _mix((0.07, 0.145, 0.03), (0.33, 0.15, 0.025), turned)
    table[plan.REED] = _mix((0.16, 0.18, 0.06), (0.32, 0.24, 0.11), max(0.5 * dry, turned))
    table[plan.CONCRETE] = 0.33, 0.32, 0.295
    table[plan.WHITE] = 0.78, 0.78, 0.75
    table[plan.BLACK] = 0.03, 0.03, 0.035
    table[plan.STEEL] = 0.10, 0.105, 0.11
    table[plan.BRICK] = 0.27, 0.135, 0.095
    table[plan.ROOF] = 0.20, 0.085, 0.065
    shift[[plan.EARTH, plan.STONES]] = 0.03, 0.03, 0.012
    shift[plan.GRASS] = 0.035, 0.01, 0.008
    shift[plan.FOREST] = _mix((0.012, 0.016, 0.0), (0.06, 0.02, 0.0), turned)
    shift[plan.LEAF] = _mix((0.022, 0.028, 0.008), (0.14, -0.06, -0.01), turned)
    shift[plan.CONCRETE] = -0.03, -0.022, -0.035  # moss and rain streaks
    shift[plan.BRICK] = 0.02, 0.02, 0.015
    return table, shift


ROUGHNESS = np.array(
    [0, 0.22, 0.24, 0.28, 0.25, 0.24, 0.3, 0.10, 0.05, 0.05, 0.1, 0.16, 0.12], np.float32
)


def shade_surfaces(
    surface: SurfaceMap, shadow: Floats, conditions: Conditions, shine: Light
) -> Floats:
    """Light every surface; the sky's pixels come out black.

    Args:
        shadow: (H, W), 1 in full sun, 0 in full shade.

    Returns:
        (H, W, 3) linear RGB.
    """
    table, shift = material_colors(conditions)
    color = table[surface.material] + shift[surface.material] * surface.tint[..., None]
    damp = smoothstep(conditions.level + 0.55, conditions.level + 0.15, surface.y) * np.float32(
        0.45
    )
    damp = np.maximum(damp, np.float32(0.3 * conditions.rain))
    grain = 1 + ROUGHNESS[surface.material] * surface.grain
    nx, ny, nz = surface.normal
    toward = shine.toward
    facing = np.clip(nx * toward[0] + ny * toward[1] + nz * toward[2], 0, 1)
    leafy = (surface.material == plan.LEAF) | (surface.material == plan.GRASS)
    facing = np.where(leafy, 0.25 + 0.75 * facing, facing)  # light comes through leaves
    strength = np.clip(grain, 0.25, 1.9) * (1 - damp)
    sky = (0.62 + 0.38 * ny) * surface.shelter * strength
    direct = facing * shadow * strength
    total = direct[..., None] * shine.sun + sky[..., None] * shine.ambient
    if shine.lamp:
        reach = (
            np.square(surface.x + 6.5) + np.square(surface.y - 6.8) + np.square(surface.z - 12.5)
        )
        total += (strength * shine.lamp * 16 / (18 + reach))[..., None] * _rgb(1.0, 0.82, 0.55)
    return np.asarray(np.maximum(color, 0.01) * total, np.float32)


def sunlit_share(
    world: World, x: Floats, y: Floats, z: Floats, toward: Vector, seconds: float, cloud: float
) -> Floats:
    """Share of the sun that reaches the points x, y, z, (H, W): trees, bridge and drifting clouds
    stand in its way.
    """
    trees = np.array(
        [(*crown.center, crown.radius) for crown in world.crowns if crown.center[2] < 60],
        np.float32,
    )[::2]
    tx, ty, tz = (np.float32(c) for c in toward)
    ox, oy, oz = (p.reshape(1, -1) - trees[:, n, None] for n, p in enumerate((x, y, z)))
    along = ox * tx + oy * ty + oz * tz
    off = ox * ox + oy * oy + oz * oz - along * along
    blocked = np.clip(1.6 - 1.4 * off / np.square(trees[:, 3, None]), 0, 1) * (along < 0)
    open_sky = 1 - blocked.max(0).reshape(x.shape) * np.float32(0.85)
    if ty > 0.05:
        t = (np.float32(5.8) - y) / ty
        under = (t > 0) & (np.abs(z + t * tz - 49.5) < 2.6)
        open_sky = np.where(under, np.float32(0.1), open_sky)
    drift = sample_tile(world.large, (x + 6 * np.float32(seconds)) / 420, z / 420)
    clouds = smoothstep(0.9 - 1.4 * cloud, 1.5 - 1.4 * cloud, drift) * np.float32(0.75)
    return np.asarray(open_sky * (1 - clouds), np.float32)


def _rgb(red: float, green: float, blue: float) -> Floats:
    return np.array([red, green, blue], np.float32)


def _mix(one: Vector, other: Vector, share: float) -> Floats:
    return (1 - share) * _rgb(*one) + share * _rgb(*other)
