"""Which frame is logged: gates against poor, repeated and too many frames, and a control stream.

Uncertainty alone picks noise, duplicates and broken pictures. A frame is therefore logged for its
score only if

1. its picture is sound: not black, saturated or frozen (`picture_quality`; of those that are not,
   one an hour is logged as "flagged", so that somebody notices);
2. its score, the share of unreliable pixels, reaches the threshold;
3. the hour's quota allows one more (`logging_rate`);
4. it looks different from the frames logged lately (`perceptual_hash`).

Beside that a random control stream ("random") ignores score, quota and likeness; the probability
of every draw is stored in the record, so estimates made from it can be re-weighted.

A frame goes `prefilter` -> LogCandidate -> `admit` -> AdmittedFrame -> (the record is written) ->
`commit`. The first runs beside inference and costs microseconds; the other two run in the log's
writer thread.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from edgeseg.config import LogConfig
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.perceptual_hash import dhash, hamming_distance
from edgeseg.runtime.framelog.logging_rate import ControlStream, HourlyQuota
from edgeseg.runtime.framelog.picture_quality import PictureQuality
from edgeseg.runtime.framelog.record_header import LogReason, QualityFlag

RECENT_FRAMES = 256  # logged frames that a new one is compared with
FLAGGED_PER_HOUR = 1

# Why a frame is not logged: no valid score, a poor picture beyond those logged as "flagged", a
# score below the threshold, the hour's quota used up, a near-duplicate of a logged frame.
Refusal = Literal["invalid", "poor", "below", "quota", "duplicate"]


@dataclass(frozen=True)
class LogCandidate:
    """Why a frame may be logged, after the gates that cost next to nothing.

    Attributes:
        reason: "score", "random" or "flagged".
        probability: The chance that the control stream had to draw it; 1 for other reasons.
        flags: What is wrong with the picture; empty unless the reason is "flagged".
    """

    reason: LogReason
    probability: float
    flags: tuple[QualityFlag, ...]


@dataclass(frozen=True)
class AdmittedFrame:
    """A frame that passed every gate; only `FrameSelection.admit` makes one.

    Attributes:
        candidate: Why it is logged.
        perceptual_hash: 64 bits that later frames are compared with; None for a flagged frame,
            with which no other is compared.
    """

    candidate: LogCandidate
    perceptual_hash: int | None


class FrameSelection:
    """All gates in order, for the frames of one log."""

    def __init__(self, config: LogConfig, threshold: float, seed: int | None) -> None:
        """Set up the gates.

        Args:
            config: The quotas and the distance between near-duplicates.
            threshold: Score from which a frame is worth logging, 0..1.
            seed: Of the control stream.
        """
        self._threshold = threshold
        self._near_duplicate = config.near_duplicate
        self._quality = PictureQuality()
        share = config.random_share
        self._control = ControlStream(config.per_hour * share, share, seed)
        self._quota = HourlyQuota(config.per_hour * (1 - share))
        self._flagged_quota = HourlyQuota(FLAGGED_PER_HOUR)
        self._recent_hashes: deque[int] = deque(maxlen=RECENT_FRAMES)

    def prefilter(
        self, image: Image, camera: str, score: float, now_ns: int
    ) -> LogCandidate | Refusal:
        """Run the gates that cost next to nothing; to be called once for every frame, in order.

        Args:
            image: (H, W, 3) uint8 RGB.
            camera: The name of the camera.
            score: Share of unreliable pixels; a frame with none in 0..1 is "invalid".
            now_ns: When the frame was taken, on the monotonic clock.
        """
        # Both count frames, so they are asked before any frame is refused; and the chance of the
        # control stream is drawn before the score is looked at, which it must not depend on.
        flags = self._quality.flags(image, camera, now_ns)
        probability = self._control.probability(now_ns)
        if not 0 <= score <= 1:  # also refuses NaN
            return "invalid"
        if flags:
            if self._flagged_quota.take(now_ns):
                return LogCandidate("flagged", 1.0, flags)
            return "poor"
        if self._control.draw(probability):
            return LogCandidate("random", probability, ())
        if score < self._threshold:
            return "below"
        # Only asked, not taken: the frame may still turn out a duplicate, or the disk fail.
        if self._quota.has(now_ns):
            return LogCandidate("score", 1.0, ())
        return "quota"

    def admit(self, candidate: LogCandidate, image: Image, now_ns: int) -> AdmittedFrame | Refusal:
        """Run the gates that cost something: is it a near-duplicate, does the quota still allow it?

        Args:
            candidate: What `prefilter` returned for the frame.
            image: (H, W, 3) uint8 RGB.
            now_ns: As for `prefilter`.
        """
        if candidate.reason == "flagged":
            return AdmittedFrame(candidate, None)
        perceptual_hash = dhash(image)
        admitted = AdmittedFrame(candidate, perceptual_hash)
        if candidate.reason == "random":
            return admitted  # a filtered control stream would not stand for all frames
        if self._resembles_recent(perceptual_hash):
            return "duplicate"
        # Asked again: frames that `prefilter` passed at the same time may have used up the quota.
        return admitted if self._quota.has(now_ns) else "quota"

    def commit(self, admitted: AdmittedFrame, now_ns: int) -> None:
        """Count a frame as logged; to be called once its record is safe on the disk.

        Until then it uses no quota and makes nothing a duplicate, so a scene whose record was lost
        to a failing disk is logged the next time it is seen.
        """
        if admitted.perceptual_hash is not None:
            self._recent_hashes.append(admitted.perceptual_hash)
        if admitted.candidate.reason == "score":
            self._quota.take(now_ns)

    def _resembles_recent(self, perceptual_hash: int) -> bool:
        return any(
            hamming_distance(perceptual_hash, recent) <= self._near_duplicate
            for recent in self._recent_hashes
        )
