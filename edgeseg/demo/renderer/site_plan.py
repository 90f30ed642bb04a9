"""The plan of the synthetic site: where the river runs, and where trees, boulders, bridge, quay and
gauge stand; all in meters, see `camera_view` for the axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.demo.renderer.materials import BRICK, CONCRETE, LEAF, REED, ROOF, STEEL, STONES, WHITE

# Balls of a branch that hangs into the picture: x, y, z, radius.
BRANCH = (
    (-9.3, 8.0, 6.2, 0.55),
    (-8.7, 8.2, 6.6, 0.5),
    (-9.9, 7.5, 6.4, 0.5),
    (-10.3, 8.1, 6.3, 0.7),
)


@dataclass(frozen=True)
class Box:
    """Masonry or reed along the axes.

    Attributes:
        low: The corner of the lowest x, y, z.
        high: The opposite corner.
        material: A number of `materials`.
        gap: The distance of posts along x into which it is cut; 0 leaves it whole.
        post: The width of a post.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    material: int
    gap: float = 0.0
    post: float = 0.0


@dataclass(frozen=True)
class Crown:
    """A ball of leaves, or a boulder.

    Attributes:
        center: x, y, z.
        radius: Its radius.
        hue: -1..1; it tells the plants apart and orders their autumn.
        material: A number of `materials`.
    """

    center: tuple[float, float, float]
    radius: float
    hue: float
    material: int = LEAF


def river_course(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x of the middle of the river and half its width, by distance upstream."""
    bends = 3.0 + 5.0 * np.sin(z / 42 + 0.2)
    middle = bends + np.square(np.minimum(z, 300.0)) / 1500
    return middle, 10.0 + 1.5 * np.sin(z / 23)


def crowns(random: np.random.Generator, ground: Callable[[float, float], float]) -> Iterator[Crown]:
    """Yield every ball of leaves and every boulder.

    Args:
        random: The source of everything random.
        ground: Returns the height of the terrain at x, z.
    """
    for x, z, size in _trees(random):
        hue = float(random.uniform(-1, 1))
        foot = ground(x, z)
        for _ in range(9 if size > 1.5 else 4):
            east, up, north = random.normal(0, 0.42 * size, 3)
            height = foot + size * (0.55 if size < 1.5 else 1.5) + up * 1.3
            yield Crown((x + east, height, z + north), size * float(random.uniform(0.5, 0.85)), hue)
    for x, z, size in _boulders(random):
        yield Crown((x, ground(x, z) + 0.15 * size, z), size, float(random.uniform(-1, 1)), STONES)
    for x, y, z, size in BRANCH:
        yield Crown((x, y, z), size, 0.2)


def _trees(random: np.random.Generator) -> Iterator[tuple[float, float, float]]:
    """Yield x, z and size of every tree and bush: some placed for the picture, the rest along the
    banks.
    """
    yield from (
        (-13.2, 17.0, 1.1),
        (-11.6, 22.5, 0.8),
        (-15.5, 26.0, 2.6),
        (-12.0, 36.0, 1.2),
        (26.0, 47.0, 2.4),
    )
    yield from (
        (-6.7, 29.0, 0.55),
        (-5.9, 34.0, 0.7),
        (22.0, 47.0, 1.9),
        (14.2, 52.0, 1.3),
        (-16.5, 13.5, 1.3),
    )
    far = np.arange(54, 200, 7.0)
    for z, middle, half in zip(far, *river_course(far), strict=True):
        for side in (-1, 1):
            x = middle + side * (half + random.uniform(2.0, 9.0))
            yield float(x), float(z + random.uniform(-3, 3)), float(random.uniform(0.9, 3.4))


def _boulders(random: np.random.Generator) -> Iterator[tuple[float, float, float]]:
    """Yield x, z and radius of the stones along the water's edge."""
    for _ in range(90):
        z = random.uniform(8, 60)
        middle, half = (float(value[0]) for value in river_course(np.array([z])))
        side = -1 if random.random() < 0.75 else 1
        yield (
            middle + side * (half + random.normal(0.8, 1.6)),
            z,
            min(float(random.gamma(2.5, 0.1)) + 0.1, 0.5),
        )


def boxes() -> Iterator[Box]:
    """Yield all masonry, and the reed."""
    yield from _bridge()
    yield from _quay()
    yield from _gauge()
    yield from _reed()
    yield from _house()


def _bridge() -> Iterator[Box]:
    """Yield deck, rails, posts, two piers and the abutment."""
    yield Box((-70, 5.3, 47), (90, 6.4, 52), CONCRETE)
    yield Box((-70, 7.4, 47), (90, 7.55, 47.2), STEEL)
    yield Box((-70, 6.4, 47), (90, 7.4, 47.2), STEEL, gap=2.2, post=0.24)
    yield Box((0.6, -4, 47.6), (2.4, 5.3, 51.4), CONCRETE)
    yield Box((12.6, -4, 47.6), (14.4, 5.3, 51.4), CONCRETE)
    yield Box((-17, -4, 47.2), (-11.5, 5.3, 51.8), BRICK)


def _quay() -> Iterator[Box]:
    """Yield the quay on the right bank and its rail."""
    yield Box((12.5, -4, 25), (30, 2.5, 44), BRICK)
    yield Box((12.6, 3.4, 25), (12.7, 3.5, 44), STEEL)
    for step in range(7):
        yield Box((12.6, 2.4, 26 + 3 * step), (12.75, 3.5, 26.15 + 3 * step), STEEL)


def _gauge() -> Iterator[Box]:
    """Yield pile and board, then mast and sensor arm."""
    yield Box((-4.3, -4, 14.0), (-3.4, 3.0, 14.6), CONCRETE)
    yield Box((-4.15, -4, 13.9), (-3.55, 2.9, 14.0), WHITE)
    yield Box((-6.6, -1, 12.5), (-6.48, 6.9, 12.62), STEEL)
    yield Box((-6.6, 6.3, 12.5), (-4.9, 6.4, 12.62), STEEL)
    yield Box((-5.25, 6.05, 12.4), (-4.85, 6.3, 12.75), WHITE)


def _reed() -> Iterator[Box]:
    for x, z, width in (
        (-6.3, 18.0, 1.4),
        (-5.7, 21.0, 1.5),
        (-5.0, 26.5, 1.6),
        (-4.6, 33.0, 2.0),
        (-8.0, 9.6, 1.3),
    ):
        yield Box((x, -2, z), (x + width, 1.5, z + 0.1), REED)


def _house() -> Iterator[Box]:
    yield Box((-32, 2, 66), (-24, 8.5, 74), BRICK)
    yield Box((-32.8, 8.5, 65.4), (-23.2, 9.6, 74.6), ROOF)
    yield Box((-31.6, 9.6, 67), (-24.4, 10.8, 73), ROOF)
