"""Which frames are worth a place in the frame log: gates against poor, repeated and too many, and a
control stream.

Entropy alone picks noise, duplicates and broken pictures. A frame is therefore kept for its score
only if the picture is sound, unlike the frames kept lately, and within the hour's quota. Beside
that a random control stream ignores the score; the probability of every draw is known, so estimates
made from it can be re-weighted.
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass

import numpy as np

from edgeseg.config import LogConfig
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.perceptual_hash import dhash, hamming_distance
from edgeseg.runtime.framelog.record_format import LogReason, PictureFault

HOUR_NS = 3_600_000_000_000
SAVED = (
    1 / 6
    # of an hour's quota at most: a storm leaves the rest of its hour something, and a start is no
    # rush
)
FROZEN_NS = (
    10_000_000_000  # so long must every picture of a camera be the same before it counts as frozen
)
GRID = 16  # sound pictures are told from poor ones by GRID x GRID pixels
DARK, BRIGHT = 24, 231  # a picture with 98 % of its samples beyond either is black or saturated
REMEMBERED = 256  # kept frames that a new one must differ from
FIRST_FRAMES = 200  # over about so many frames a new run spends one hour's share of control frames


class HourlyQuota:
    """A quota per hour that saves up ten minutes at most; one thread may `take` while others ask
    whether it `has`.
    """

    def __init__(self, per_hour: float) -> None:
        self._per_hour = per_hour
        self._size = max(1.0, per_hour * SAVED) if per_hour > 0 else 0.0
        self._state: tuple[float, int | None] = (
            self._size,
            None,
        )  # tokens at a time; replaced whole, so never seen half

    def _level(self, now_ns: int) -> float:
        tokens, then = self._state
        passed = 0 if then is None else max(0, now_ns - then)  # a clock that goes back adds nothing
        return min(self._size, tokens + self._per_hour * passed / HOUR_NS)

    def has(self, now_ns: int) -> bool:
        """Whether a frame fits at monotonic time `now_ns`."""
        return self._level(now_ns) >= 1 - 1e-9

    def take(self, now_ns: int) -> bool:
        """Use the quota for one frame, if it fits."""
        level, then = self._level(now_ns), self._state[1]
        if level < 1 - 1e-9:
            return False
        self._state = level - 1, now_ns if then is None else max(then, now_ns)
        return True


class PictureQuality:
    """Tells black, saturated and frozen pictures by a few hundred pixels, in microseconds, camera
    by camera.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}  # camera -> digest of the samples, since when

    def flags(self, image: Image, camera: str, now_ns: int) -> tuple[PictureFault, ...]:
        """What is wrong with `image`, (H, W, 3) uint8; must be shown every frame, or a frozen
        camera goes unnoticed.
        """
        rows, columns = max(1, image.shape[0] // GRID), max(1, image.shape[1] // GRID)
        grid = image[rows // 2 :: rows, columns // 2 :: columns]
        digest = hash(grid.tobytes())
        before, since = self._seen.get(camera, (None, now_ns))
        if before != digest:
            since = now_ns
        self._seen[camera] = (digest, since)
        few = grid.size // 50
        flags: list[PictureFault] = []
        if np.count_nonzero(grid > DARK) <= few:
            flags.append("black")
        if np.count_nonzero(grid < BRIGHT) <= few:
            flags.append("saturated")
        if now_ns - since >= FROZEN_NS:
            flags.append("frozen")
        return tuple(flags)


class ControlStream:
    """The random control stream: each frame's chance does not depend on the frame.

    In the long run `per_hour` frames are drawn an hour, whatever the frame rate; the first few
    hundred frames have a higher chance on top, so that short runs get their share too. No frame's
    chance is above `share`, or short runs with a large quota would log little else.
    """

    def __init__(self, per_hour: float, share: float, seed: int | None) -> None:
        self._per_hour = per_hour
        self._share = share
        self._random = random.Random(seed)
        self._frames = 0
        self._gap_ns = HOUR_NS / 3600 / 30  # mean time between frames
        self._then: int | None = None

    def probability(self, now_ns: int) -> float:
        """The chance of the frame taken at monotonic time `now_ns`; to be asked once for every
        frame.
        """
        if self._then is not None:
            gap = min(max(0, now_ns - self._then), 10 * self._gap_ns)  # a pause is no frame rate
            self._gap_ns = max(1e6, self._gap_ns + 0.01 * (gap - self._gap_ns))
        self._then = now_ns
        first = math.exp(-self._frames / FIRST_FRAMES) / FIRST_FRAMES
        self._frames += 1
        return min(self._share, self._per_hour * (self._gap_ns / HOUR_NS + first))

    def draw(self, probability: float) -> bool:
        """Whether the frame is picked."""
        return self._random.random() < probability


@dataclass(frozen=True)
class LogCandidate:
    """A frame that passed the gates which cost nothing."""

    reason: LogReason
    probability: float
    flags: tuple[PictureFault, ...]


class FrameSelection:
    """All gates in order; `consider` runs beside inference, `admit` and then `kept` in the writer."""

    def __init__(self, config: LogConfig, threshold: float, seed: int | None) -> None:
        self._threshold = threshold
        self._near = config.near_duplicate
        self._quality = PictureQuality()
        self._control = ControlStream(
            config.per_hour * config.random_share, config.random_share, seed
        )
        self._quota = HourlyQuota(config.per_hour * (1 - config.random_share))
        self._poor = HourlyQuota(1)
        self._hash = 0
        self._hashes: deque[int] = deque(maxlen=REMEMBERED)

    def prefilter(self, image: Image, camera: str, score: float, now_ns: int) -> LogCandidate | str:
        """A candidate, or the word for why the frame is not logged: "invalid", "poor", "below" or
        "quota".

        Args:
            image: (H, W, 3) uint8.
            now_ns: monotonic time.
        """
        flags = self._quality.flags(image, camera, now_ns)
        probability = self._control.probability(now_ns)
        if not 0 <= score <= 1:
            return "invalid"
        if flags:
            return LogCandidate("flagged", 1.0, flags) if self._poor.take(now_ns) else "poor"
        if self._control.draw(probability):
            return LogCandidate("random", probability, ())
        if score < self._threshold:
            return "below"
        return LogCandidate("score", 1.0, ()) if self._quota.has(now_ns) else "quota"

    def check_duplicate(self, candidate: LogCandidate, image: Image, now_ns: int) -> str:
        """Run the gates that cost something on `image`, (H, W, 3) uint8; empty, "duplicate" or
        "quota".
        """
        if candidate.reason == "flagged":
            return ""
        self._hash = dhash(image)
        if candidate.reason == "random":
            return ""  # the control stream is not filtered, or it would not stand for all frames
        if any(hamming_distance(self._hash, other) <= self._near for other in self._hashes):
            return "duplicate"
        return "" if self._quota.has(now_ns) else "quota"

    def commit(self, candidate: LogCandidate, now_ns: int) -> None:
        """Remember the candidate admitted last; to be called once it is safe on the disk."""
        if candidate.reason != "flagged":
            self._hashes.append(self._hash)
        if candidate.reason == "score":
            self._quota.take(now_ns)
