"""Times of frames that only rise, whatever the stamps of a container do."""

from __future__ import annotations

import math

RESTART_SECONDS = 1.0  # a clock that falls back by more was set anew
MOST_STALLED = 3  # frames in a row with times that were before, after which it was set anew as well
TICK = 1e-6  # seconds between frames whose stamps do not tell them apart
LONGEST_GAP = 10.0  # seconds; in formats whose clock may jump, a longer gap is no gap


class FrameClock:
    """Makes seconds since the first frame of the stamps of a container.

    Stamps may begin anywhere, be missing, fall back (a clock that wraps, recordings joined end to
    end) or jump ahead. A frame without a stamp follows the one before by the usual step. Where the
    clock was set anew, time goes on from the frame before by one step; where a few stamps are out
    of order, it stands nearly still until they catch up. A gap is a gap, except in formats whose
    clock jumps by itself (MPEG-TS and the like) and if it is longer than `LONGEST_GAP`.
    """

    def __init__(self, step: float, *, may_jump: bool = False) -> None:
        """Begin.

        Args:
            step: Seconds from a frame to the next where stamps do not tell.
            may_jump: Whether the format's clock jumps ahead without a gap in the recording.
        """
        self._step = step
        self._longest_step = max(LONGEST_GAP, 5 * step)
        self._longest_gap = self._longest_step if may_jump else math.inf
        self._time: float | None = None  # of the last frame
        self._stamp: float | None = None  # the latest that was used
        self._stalled = 0  # frames in a row with stamps from before

    def time(self, stamp: float | None, duration: float = 0.0) -> float:
        """Return the time of the next frame.

        Args:
            stamp: Its presentation time in seconds, None if missing.
            duration: Seconds for which the frame before it was to be shown, 0 if not known.
        """
        step = duration if 0 < duration <= self._longest_step else self._step
        known = stamp is not None and math.isfinite(stamp)
        if self._time is None:
            self._time = 0.0
            self._stamp = stamp if known else None
            return self._time
        if stamp is None or not known or self._stamp is None:
            self._time += step
            self._stamp = stamp if known else None if self._stamp is None else self._stamp + step
            return self._time
        ahead = stamp - self._stamp
        if 0 < ahead <= self._longest_gap:
            # Frames that stood still have used up a little of this time.
            self._time += max(TICK, ahead - self._stalled * TICK)
            self._stalled = 0
        elif -RESTART_SECONDS < ahead <= 0 and self._stalled < MOST_STALLED:
            self._time += TICK
            self._stalled += 1
            return self._time
        else:
            self._time += step * (self._stalled + 1)  # those that stood still had their time too
            self._stalled = 0
        self._stamp = stamp
        return self._time
