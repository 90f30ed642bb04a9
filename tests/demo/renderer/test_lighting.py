"""The place of the sun, and its color."""

from __future__ import annotations

from edgeseg.demo.renderer.lighting import Conditions, light_at


def test_the_sun_moves_from_east_to_west_and_is_high_at_noon() -> None:
    morning, noon, evening = (light_at(Conditions(hour=hour)) for hour in (7, 12, 18))
    assert noon.elevation > max(morning.elevation, evening.elevation) > 0
    assert noon.elevation > light_at(Conditions(day=300, hour=12)).elevation
    assert (
        light_at(Conditions(hour=23.5)).elevation < 0 and light_at(Conditions(hour=23.5)).lamp > 0
    )
    assert morning.toward[2] < 0 < evening.toward[2]  # the camera looks west
    dawn = light_at(Conditions(hour=5.5))
    assert dawn.sun[0] / dawn.sun[2] > noon.sun[0] / noon.sun[2]  # low sun is warm
    assert noon.lamp == 0
