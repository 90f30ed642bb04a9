"""How long a step takes, told once after some of them."""

from __future__ import annotations

import time

from edgeseg.progress import format_duration

TIMED_STEPS = 10
WORTH_TELLING = 120.0  # seconds that are left


class StepPace:
    """Times the steps after the first one, which is slower than all others."""

    def __init__(self, step: int) -> None:
        """Begin at `step`, the number of steps done before."""
        self._first, self._last = step + 1, step + 1 + TIMED_STEPS
        self._began = 0.0

    def seconds_a_step(self, step: int, apart: float) -> float | None:
        """Return the mean when enough steps were timed, once; None before and afterwards.

        Args:
            step: The number of steps done.
            apart: Seconds since the start of the run that were spent on something else.
        """
        now = time.monotonic() - apart
        if step == self._first:
            self._began = now
        return (now - self._began) / TIMED_STEPS if step == self._last else None

    def estimate(self, step: int, last: int, apart: float) -> str | None:
        """Say how long the rest takes, once, where that is worth a sentence.

        Args:
            step: The number of steps done.
            last: The number of all steps.
            apart: As in `seconds_a_step`.
        """
        each, left = self.seconds_a_step(step, apart), last - step
        if each is None or each * left <= WORTH_TELLING:
            return None
        return (
            f"{left} steps more at {each:.2f} s take about {format_duration(each * left)}, "
            "evaluations apart; after Ctrl-C a run can go on from its last checkpoint"
        )
