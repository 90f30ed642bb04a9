"""The moments that are filmed: a summer in which a few mornings are labelled, and an autumn that
looks like neither.

Days have weather and hours have light, so that a run of frames is a time-lapse and not a lottery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from edgeseg.demo.renderer.camera_view import Pose
from edgeseg.demo.renderer.lighting import Conditions

AUTUMN_POSE = Pose(  # the mast has leaned a little since summer
    x=-8.25, y=5.25, yaw=0.115, horizon=0.375
)


@dataclass(frozen=True, kw_only=True)
class Weather:
    """The weather of a moment; the fields are those of `Conditions`."""

    cloud: float
    rain: float
    fog: float
    wind: float
    dirt: float
    level: float
    turbidity: float


WeatherAt = Callable[[np.random.Generator, float], Weather]  # at an hour of the day


def mornings(random: np.random.Generator, frames: int) -> Iterator[Conditions]:
    """Yield what somebody labels on the first evening: fair mornings of one week in June."""
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
    """Yield moments from June to August, dawn to night."""
    yield from _days(random, frames, per_day, (152, 238), (4.3, 22.6), _summer_weather)


def autumn(random: np.random.Generator, frames: int, per_day: int = 10) -> Iterator[Conditions]:
    """Yield moments in October: turned leaves, low sun, fog, high brown water, a lens that nobody
    has wiped.
    """
    yield from _days(random, frames, per_day, (276, 306), (7.2, 17.6), _autumn_weather)


def _days(
    random: np.random.Generator,
    frames: int,
    per_day: int,
    days: tuple[float, float],
    hours: tuple[float, float],
    weather_at: WeatherAt,
) -> Iterator[Conditions]:
    """Yield `per_day` moments on each of as many days as are needed, evenly spread.

    For example, 25 frames at 10 a day fall on three days, in the middle of each third of the span;
    the last has five.

    Args:
        random: The source of everything random.
        frames: The number of moments.
        per_day: Moments a day.
        days: The first and the last day of the year.
        hours: The first and the last hour of the day.
        weather_at: Draws the weather.
    """
    number_of_days = -(-frames // per_day)  # rounded up
    for index in range(number_of_days):
        day = days[0] + (days[1] - days[0]) * (index + 0.5) / number_of_days
        state = random.bit_generator.state  # every frame of a day draws the same weather
        for frame in range(min(per_day, frames - index * per_day)):
            random.bit_generator.state = state
            place = frame + random.uniform(0.1, 0.9)  # in the day, of per_day places
            hour = hours[0] + (hours[1] - hours[0]) * place / per_day
            weather = weather_at(random, hour)
            yield _moment(day, hour, weather, random)


def _summer_weather(random: np.random.Generator, hour: float) -> Weather:
    """Draw fair, gray or rainy weather; rain comes in showers, mist lies in the morning."""
    kind = str(random.choice(("fair", "gray", "rain"), p=(0.55, 0.25, 0.20)))
    rainy = kind == "rain"
    cloud = _draw_cloud(random, kind, gray_from=0.7)
    shower = 0.0
    if rainy:
        strength = random.uniform(0.3, 0.9)
        shower = strength * max(0.0, float(np.sin(hour * random.uniform(0.5, 0.9))))
    mist = random.uniform(0.3, 0.75) if random.random() < 0.35 else 0.0
    level = random.normal(0.0, 0.3) + (0.35 if rainy else 0.0)
    wind = random.uniform(0.05, 0.8)
    turbidity = random.uniform(0.1, 0.5) + (0.3 if rainy else 0.0)
    return Weather(
        cloud=cloud,
        rain=shower,
        fog=mist * float(np.clip((9 - hour) / 3, 0, 1)),  # gone by nine
        wind=wind,
        dirt=0.0,
        level=level,
        turbidity=turbidity,
    )


def _autumn_weather(random: np.random.Generator, hour: float) -> Weather:
    """Draw fair, gray or rainy weather with fog, high water and a dirty lens."""
    kind = str(random.choice(("fair", "gray", "rain"), p=(0.40, 0.35, 0.25)))
    cloud = _draw_cloud(random, kind, gray_from=0.6)
    rain = random.uniform(0.2, 0.8) if kind == "rain" else 0.0
    fog = random.uniform(0.25, 0.7) if random.random() < 0.45 else 0.1
    level = random.uniform(0.7, 1.5)
    wind = random.uniform(0.1, 0.9)
    turbidity = random.uniform(0.65, 1.0)
    dirt = random.uniform(0.55, 0.85)
    return Weather(
        cloud=cloud,
        rain=rain,
        fog=fog * float(np.clip((14 - hour) / 5, 0.3, 1)),  # thin in the afternoon
        wind=wind,
        dirt=dirt,
        level=level,
        turbidity=turbidity,
    )


def _draw_cloud(random: np.random.Generator, kind: str, gray_from: float) -> float:
    # All three are drawn, so that what follows does not depend on the kind of weather.
    draws = {
        "fair": random.uniform(0.0, 0.5),
        "gray": random.uniform(gray_from, 1.0),
        "rain": random.uniform(0.8, 1.0),
    }
    return draws[kind]


def _moment(day: float, hour: float, weather: Weather, random: np.random.Generator) -> Conditions:
    return Conditions(
        day=day,
        hour=hour,
        seconds=hour * 3600,
        cloud=weather.cloud,
        rain=weather.rain,
        fog=weather.fog,
        wind=weather.wind,
        dirt=weather.dirt,
        level=float(np.clip(weather.level, -0.8, 1.7)),
        turbidity=min(weather.turbidity, 1.0),
        seed=int(random.integers(2**31)) + int(hour * 1000),
    )
