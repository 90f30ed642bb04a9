"""Student's distribution, without scipy: a device has none."""

from __future__ import annotations

import math
import statistics
from functools import cache

NORMAL_DEGREES = 200  # degrees of freedom from which Student's distribution is taken as normal


@cache
def student_t_quantile(probability: float, degrees: int) -> float:
    """Return the value that Student's t exceeds in size with a probability.

    It is found by bisection of the distribution function; the normal one is taken for many degrees
    of freedom. For example, 0.05 and 4 degrees give 2.776.
    """
    if degrees >= NORMAL_DEGREES:
        return statistics.NormalDist().inv_cdf(1 - probability / 2)
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        if _two_sided_tail(middle, degrees) > probability:
            low = middle
        else:
            high = middle
    return high


def _two_sided_tail(value: float, degrees: int) -> float:
    """Return the probability that |t| exceeds `value`, by the finite series for whole degrees of
    freedom (Abramowitz and Stegun, 26.7.3 for odd ones and 26.7.4 for even ones).

    With a = atan(value / sqrt(degrees)), the sum for even degrees is 1 + 1/2 cos^2 a +
    1*3/(2*4) cos^4 a + ..., and for odd ones cos a + 2/3 cos^3 a + 2*4/(3*5) cos^5 a + ...
    """
    angle = math.atan(value / math.sqrt(degrees))
    odd = degrees % 2 == 1
    term = series = math.cos(angle) if odd else 1.0
    for step in range(3 if odd else 2, degrees - 1, 2):
        term *= (step - 1) / step * math.cos(angle) ** 2
        series += term
    if not odd:
        return 1 - math.sin(angle) * series
    return 1 - 2 / math.pi * (angle + (math.sin(angle) * series if degrees > 1 else 0.0))
