"""How many frames an hour are logged: quotas that save up a little, and the random control stream.

All times are of the monotonic clock in nanoseconds, never wall time, which may jump.
"""

from __future__ import annotations

import math
import random

HOUR_NS = 3_600_000_000_000
# A quota saves up a sixth of an hour's frames at most. So a burst of uncertain frames leaves the
# rest of its hour something, and the first minutes of a run do not spend a whole hour's quota.
SAVED_HOURS = 1 / 6
ONE_FRAME = 1 - 1e-9  # less than 1 by what rounding may have cost while the quota filled up
FIRST_FRAMES = 200  # over about so many frames a new run spends one extra hour of control frames
FIRST_GAP_NS = HOUR_NS // 3600 / 30  # assumed time between frames until it is measured: 30 FPS
SHORTEST_GAP_NS = 1e6
GAP_UPDATE = 0.01  # weight of the newest gap in the moving average


class HourlyQuota:
    """A token bucket: `per_hour` frames an hour, of which ten minutes' worth can be saved up.

    With 60 an hour, ten frames are allowed at once, then one a minute; after an hour without a
    frame it is again ten. A quota below six an hour saves up one whole frame, or it would never
    allow any.

    One thread may `take` while others ask whether it `has`.
    """

    def __init__(self, per_hour: float) -> None:
        self._per_hour = per_hour
        self._capacity = max(1.0, per_hour * SAVED_HOURS) if per_hour > 0 else 0.0
        # Tokens, and the time at which there were so many (None before the first frame). The pair
        # is replaced as a whole, so that no other thread sees one of them old and one new.
        self._state: tuple[float, int | None] = (self._capacity, None)

    def _tokens(self, now_ns: int) -> float:
        tokens, then = self._state
        # A clock that goes back adds nothing.
        elapsed = 0 if then is None else max(0, now_ns - then)
        return min(self._capacity, tokens + self._per_hour * elapsed / HOUR_NS)

    def has(self, now_ns: int) -> bool:
        """Return whether one more frame is allowed at `now_ns`."""
        return self._tokens(now_ns) >= ONE_FRAME

    def take(self, now_ns: int) -> bool:
        """Use the quota for one frame if it allows one, and return whether it did."""
        tokens, then = self._tokens(now_ns), self._state[1]
        if tokens < ONE_FRAME:
            return False
        self._state = tokens - 1, now_ns if then is None else max(then, now_ns)
        return True


class ControlStream:
    """A random sample of all frames, whose chance to be logged does not depend on the frame.

    In the long run `per_hour` frames are drawn an hour, whatever the frame rate; the first few
    hundred frames have a higher chance on top, so that short runs get their share too. Each frame's
    chance is stored with it: a sum over the control frames, each weighted by 1 / chance, is an
    unbiased estimate of the sum over all frames (Horvitz and Thompson, 1952).
    """

    def __init__(self, per_hour: float, highest: float, seed: int | None) -> None:
        """Set the rate.

        Args:
            per_hour: Frames drawn an hour in the long run.
            highest: No frame's chance is above this, or short runs with a large quota would log
                little else.
            seed: Of the draws; None for a different sample in every run.
        """
        self._per_hour = per_hour
        self._highest = highest
        self._random = random.Random(seed)
        self._frames = 0
        self._mean_gap_ns = FIRST_GAP_NS
        self._last_ns: int | None = None

    def probability(self, now_ns: int) -> float:
        """Return the chance of the frame taken at `now_ns`; to be asked once for every frame.

        With 4.8 frames an hour and a frame every 0.1 s (36,000 an hour) a frame's chance is in the
        long run 4.8 * 0.1 s / 3600 s = 0.00013. The first frame of a run has 4.8 / 200 = 0.024 on
        top; that term falls by e every 200 frames, and adds up to 4.8 over all of them.
        """
        if self._last_ns is not None:
            # A pause of the camera says nothing about its frame rate.
            gap = min(max(0, now_ns - self._last_ns), 10 * self._mean_gap_ns)
            smoothed = self._mean_gap_ns + GAP_UPDATE * (gap - self._mean_gap_ns)
            self._mean_gap_ns = max(SHORTEST_GAP_NS, smoothed)
        self._last_ns = now_ns
        start_bonus = math.exp(-self._frames / FIRST_FRAMES) / FIRST_FRAMES
        self._frames += 1
        return min(self._highest, self._per_hour * (self._mean_gap_ns / HOUR_NS + start_bonus))

    def draw(self, probability: float) -> bool:
        """Return whether the frame with this chance is picked."""
        return self._random.random() < probability
