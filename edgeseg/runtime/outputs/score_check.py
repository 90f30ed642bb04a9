"""The watch over scores: a bundle whose scores are no numbers is told at once, and counted."""

from __future__ import annotations

import math

from edgeseg.progress import ProgressReporter
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.outputs.base import Sink
from edgeseg.runtime.sources.base import SourceFrame


class ScoreCheck(Sink):
    """Counts frames whose score is no number in 0 to 1; writes nothing.

    Attributes:
        invalid: How many there were.
    """

    def __init__(self, report: ProgressReporter) -> None:
        """Take who is told of the first one."""
        self.invalid = 0
        self._report = report

    def write(self, frame: SourceFrame, prediction: Prediction) -> None:
        """Look at one frame's score."""
        score = float(prediction.score[0])
        if math.isfinite(score) and 0 <= score <= 1:
            return
        self.invalid += 1
        if self.invalid == 1:
            self._report.say(
                f"frame {frame.name}: its score is {score}, no number from 0 to 1, so the bundle "
                "computes nonsense on it; check the bundle with `edgeseg eval`, or copy it again"
            )
