"""Which moments are filmed: a summer in which a few mornings are labelled, and an autumn that looks
like neither.

Days have weather and hours have light, so that a run of frames is a time-lapse and not a lottery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from edgeseg.demo.renderer.camera_view import Pose
from edgeseg.demo.renderer.lighting import Conditions

Chooser = Callable[[np.random.Generator, float, float], Conditions]
CLOUDS = {"fair": (0.0, 0.5), "grey": (0.65, 1.0), "rain": (0.8, 1.0)}
AUTUMN_POSE = Pose(
    x=-8.25, y=5.25, yaw=0.115, horizon=0.375
)  # the mast has leaned a little since summer


def mornings(random: np.random.Generator, frames: int) -> Iterator[Conditions]:
    """What somebody labels on the first evening: fair mornings of one week in June."""
    for number in range(frames):
        day, hour = 160 + 7 * number / frames, random.uniform(7.0, 9.5)
        yield Conditions(
            day=day,
            hour=hour,
            seconds=random.uniform(0, 1e4),
            cloud=random.uniform(0.05, 0.4),
            wind=random.uniform(0.1, 0.4),
            level=random.normal(0.1, 0.06),
            turbidity=random.uniform(0.15, 0.3),
            seed=int(random.integers(2**31)),
        )


def summer(random: np.random.Generator, frames: int, per_day: int = 10) -> Iterator[Conditions]:
    """June to August, dawn to night."""
    yield from _days(random, frames, per_day, (152, 238), (4.3, 22.6), _summer_day)


def autumn(random: np.random.Generator, frames: int, per_day: int = 10) -> Iterator[Conditions]:
    """October: turned leaves, low sun, fog, high brown water, a lens that nobody has wiped."""
    yield from _days(random, frames, per_day, (276, 306), (7.2, 17.6), _autumn_day)


def _days(
    random: np.random.Generator,
    frames: int,
    per_day: int,
    span: tuple[float, float],
    hours: tuple[float, float],
    weather: Chooser,
) -> Iterator[Conditions]:
    number = -(-frames // per_day)
    for index in range(number):
        day = span[0] + (span[1] - span[0]) * (index + 0.5) / number
        state = random.bit_generator.state  # every frame of a day draws the same weather
        for frame in range(min(per_day, frames - index * per_day)):
            random.bit_generator.state = state
            hour = hours[0] + (hours[1] - hours[0]) * (frame + random.uniform(0.1, 0.9)) / per_day
            yield weather(random, day, hour)


def _summer_day(random: np.random.Generator, day: float, hour: float) -> Conditions:
    kind = random.choice(("fair", "grey", "rain"), p=(0.55, 0.25, 0.20))
    cloud = {
        "fair": random.uniform(0.0, 0.5),
        "grey": random.uniform(0.7, 1.0),
        "rain": random.uniform(0.8, 1.0),
    }[str(kind)]
    rain = (
        random.uniform(0.3, 0.9) * max(0.0, float(np.sin(hour * random.uniform(0.5, 0.9))))
        if kind == "rain"
        else 0.0
    )
    mist = random.uniform(0.3, 0.75) if random.random() < 0.35 else 0.0
    level = random.normal(0.0, 0.3) + (0.35 if kind == "rain" else 0.0)
    wind, silt = (
        random.uniform(0.05, 0.8),
        random.uniform(0.1, 0.5) + (0.3 if kind == "rain" else 0.0),
    )
    return _moment(
        day,
        hour,
        cloud,
        rain,
        mist * float(np.clip((9 - hour) / 3, 0, 1)),
        wind,
        0.0,
        level,
        silt,
        random,
    )


def _autumn_day(random: np.random.Generator, day: float, hour: float) -> Conditions:
    kind = random.choice(("fair", "grey", "rain"), p=(0.40, 0.35, 0.25))
    cloud = {
        "fair": random.uniform(0.0, 0.5),
        "grey": random.uniform(0.6, 1.0),
        "rain": random.uniform(0.8, 1.0),
    }[str(kind)]
    rain = random.uniform(0.2, 0.8) if kind == "rain" else 0.0
    fog = random.uniform(0.25, 0.7) if random.random() < 0.45 else 0.1
    level, wind, silt = (
        random.uniform(0.7, 1.5),
        random.uniform(0.1, 0.9),
        random.uniform(0.65, 1.0),
    )
    dirt = random.uniform(0.55, 0.85)
    return _moment(
        day,
        hour,
        cloud,
        rain,
        fog * float(np.clip((14 - hour) / 5, 0.3, 1)),
        wind,
        dirt,
        level,
        silt,
        random,
    )


def _moment(
    day: float,
    hour: float,
    cloud: float,
    rain: float,
    fog: float,
    wind: float,
    dirt: float,
    level: float,
    silt: float,
    random: np.random.Generator,
) -> Conditions:
    seed = int(random.integers(2**31)) + int(hour * 1000)
    return Conditions(
        day=day,
        hour=hour,
        seconds=hour * 3600,
        cloud=cloud,
        rain=rain,
        fog=fog,
        wind=wind,
        dirt=dirt,
        level=float(np.clip(level, -0.8, 1.7)),
        turbidity=min(silt, 1.0),
        seed=seed,
    )
