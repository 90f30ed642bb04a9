"""Weather and light: where the sun stands, what shines in which color, and how bright each surface
is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.demo.renderer import materials
from edgeseg.demo.renderer.camera_view import SurfaceMap
from edgeseg.demo.renderer.materials import ROUGHNESS, material_colors, rgb
from edgeseg.demo.renderer.noise import Floats, sample_tile, smoothstep
from edgeseg.demo.renderer.world import World

LATITUDE = 0.84  # radians
# compass direction that the camera looks in, radians: summer's evening sun stands in the picture
HEADING = 4.9
NIGHT = -0.1  # radians; below this elevation of the sun the moon shines
MOON_ELEVATION = 0.6  # radians
LAMP = (-6.5, 6.8, 12.5)  # x, y, z of the lamp on the gauge's mast, meters
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Conditions:
    """One moment at the site.

    Attributes:
        day: The day of the year, 1..365; leaves turn from about 255 to 300.
        hour: Solar time, 0..24.
        seconds: The time that moves waves, clouds and swaying leaves.
        cloud: 0 none to 1 overcast.
        rain: 0 none to 1 severe.
        fog: 0 none to 1 severe.
        wind: 0 none to 1 severe.
        dirt: Dirt on the lens, 0 none to 1 severe.
        level: The water's height in meters above the gauge's zero, about -0.8..1.8.
        turbidity: 0 clear and green to 1 brown.
        seed: The seed of everything accidental in the frame: noise, drops, driftwood, boats.
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
    """The light of a moment; colors are (3,) linear RGB.

    Attributes:
        toward: The unit vector to the sun, or to the moon at night.
        elevation: The sun's height above the horizon in radians, negative at night.
        sun: The color of the direct light.
        zenith: The color of the sky overhead.
        horizon: The color of the sky at the horizon.
        ambient: The color of the light from all of the sky.
        lamp: The brightness of the lamp on the mast, 0..1.
    """

    toward: Vector
    elevation: float
    sun: Floats
    zenith: Floats
    horizon: Floats
    ambient: Floats
    lamp: float


def light_at(conditions: Conditions) -> Light:
    """Return the light of a moment."""
    elevation, azimuth = _sun_position(conditions)
    toward = _direction_of_light(elevation, azimuth)
    daylight = float(np.clip((elevation + 0.10) / 0.30, 0, 1))  # 0 at night, 1 once the sun is up
    warm = float(np.clip(1 - elevation / 0.45, 0, 1)) * daylight  # 1 for a sun at the horizon
    clear = 1 - conditions.cloud

    sun = rgb(1.0, 0.95, 0.86) * (1 - warm) + rgb(1.0, 0.52, 0.22) * warm
    strength = 2.1 * max(0.0, float(np.sin(max(elevation, 0) + 0.06))) ** 0.5
    sun = sun * strength * clear**1.3 * daylight + rgb(0.05, 0.06, 0.09) * (1 - daylight)
    blue, gray = rgb(0.20, 0.40, 0.82), rgb(0.52, 0.55, 0.60)
    night = rgb(0.012, 0.016, 0.035)
    zenith = (blue * clear + gray * (1 - clear)) * (0.25 + 0.75 * daylight) * daylight + night
    pale = rgb(0.50, 0.66, 0.92) * (1 - warm) + rgb(1.05, 0.62, 0.40) * warm
    haze = pale * clear + rgb(0.72, 0.74, 0.76) * (1 - clear)
    horizon = haze * (0.15 + 0.85 * daylight) * daylight + night * 1.6
    ambient = 0.60 * zenith + 0.35 * horizon
    lamp = float(np.clip(0.04 - elevation, 0, 0.12) / 0.12)
    return Light(toward, elevation, sun, zenith, horizon, ambient.astype(np.float32), lamp)


def _sun_position(conditions: Conditions) -> tuple[float, float]:
    """Return elevation and azimuth in radians, by the usual formulas for declination and hour
    angle; azimuth is 0 in the north and grows to the east.
    """
    declination = 0.409 * np.sin(2 * np.pi * (284 + conditions.day) / 365)
    hour_angle = (conditions.hour - 12) * np.pi / 12
    sine = np.sin(LATITUDE) * np.sin(declination) + np.cos(LATITUDE) * np.cos(declination) * np.cos(
        hour_angle
    )
    elevation = float(np.arcsin(sine))
    from_south = np.arctan2(
        np.sin(hour_angle),
        np.cos(hour_angle) * np.sin(LATITUDE) - np.tan(declination) * np.cos(LATITUDE),
    )
    return elevation, float(from_south + np.pi)


def _direction_of_light(elevation: float, azimuth: float) -> Vector:
    """Return the unit vector to the sun, or at night to a moon that stands elsewhere."""
    is_night = elevation <= NIGHT
    height = MOON_ELEVATION if is_night else elevation
    turn = azimuth - HEADING + (2.0 if is_night else 0.0)
    return (
        float(np.cos(height) * np.sin(turn)),
        float(np.sin(height)),
        float(np.cos(height) * np.cos(turn)),
    )


def shade_surfaces(
    surface: SurfaceMap, sunlit: Floats, conditions: Conditions, light: Light
) -> Floats:
    """Light every surface; the sky's pixels come out black.

    Args:
        surface: What each pixel shows.
        sunlit: (H, W), 1 in full sun, 0 in full shade.
        conditions: The moment.
        light: Its light.

    Returns:
        (H, W, 3) linear RGB.
    """
    base, shift = material_colors(conditions.day)
    color = base[surface.material] + shift[surface.material] * surface.tint[..., None]
    # Wet surfaces are darker: those just above the water, and all of them in the rain.
    damp = smoothstep(conditions.level + 0.55, conditions.level + 0.15, surface.y) * np.float32(
        0.45
    )
    damp = np.maximum(damp, np.float32(0.3 * conditions.rain))
    grain = 1 + ROUGHNESS[surface.material] * surface.grain
    strength = np.clip(grain, 0.25, 1.9) * (1 - damp)

    nx, ny, nz = surface.normal
    tx, ty, tz = light.toward
    facing = np.clip(nx * tx + ny * ty + nz * tz, 0, 1)  # cosine of the angle to the sun
    leafy = (surface.material == materials.LEAF) | (surface.material == materials.GRASS)
    facing = np.where(leafy, 0.25 + 0.75 * facing, facing)  # light comes through leaves
    from_sky = (0.62 + 0.38 * ny) * surface.shelter * strength
    from_sun = facing * sunlit * strength
    total = from_sun[..., None] * light.sun + from_sky[..., None] * light.ambient
    if light.lamp:
        square_distance = (
            np.square(surface.x - LAMP[0])
            + np.square(surface.y - LAMP[1])
            + np.square(surface.z - LAMP[2])
        )
        from_lamp = strength * light.lamp * 16 / (18 + square_distance)
        total += from_lamp[..., None] * rgb(1.0, 0.82, 0.55)
    return np.asarray(np.maximum(color, 0.01) * total, np.float32)


def sunlit_share(
    world: World, x: Floats, y: Floats, z: Floats, toward: Vector, seconds: float, cloud: float
) -> Floats:
    """Return the share of the sun that reaches points: trees, bridge and drifting clouds stand in
    its way.

    Args:
        world: The site.
        x, y, z: (H, W) the points in meters.
        toward: The unit vector to the sun.
        seconds: The time that moves the clouds.
        cloud: 0 none to 1 overcast.

    Returns:
        (H, W), 0..1.
    """
    # (N, 4) center and radius; every second ball is enough for a tree's shadow.
    balls = np.array(
        [(*crown.center, crown.radius) for crown in world.crowns if crown.center[2] < 60],
        np.float32,
    )[::2]
    tx, ty, tz = (np.float32(c) for c in toward)
    # (N, H*W) from each ball to each point.
    dx, dy, dz = (p.reshape(1, -1) - balls[:, n, None] for n, p in enumerate((x, y, z)))
    along = dx * tx + dy * ty + dz * tz  # toward the sun; negative where the ball is in between
    square_offset = dx * dx + dy * dy + dz * dz - along * along  # from the ray to the sun
    blocked = np.clip(1.6 - 1.4 * square_offset / np.square(balls[:, 3, None]), 0, 1) * (along < 0)
    share = 1 - blocked.max(0).reshape(x.shape) * np.float32(0.85)
    if ty > 0.05:
        # The bridge's deck: 5.8 m high, around z = 49.5.
        t = (np.float32(5.8) - y) / ty
        under = (t > 0) & (np.abs(z + t * tz - 49.5) < 2.6)
        share = np.where(under, np.float32(0.1), share)
    drift = sample_tile(world.large, (x + 6 * np.float32(seconds)) / 420, z / 420)
    clouds = smoothstep(0.9 - 1.4 * cloud, 1.5 - 1.4 * cloud, drift) * np.float32(0.75)
    return np.asarray(share * (1 - clouds), np.float32)
