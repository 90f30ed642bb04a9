"""How long a training takes is told once, after its first steps."""

from __future__ import annotations

import pytest

from edgeseg.training.reporting.step_pace import StepPace


def test_the_first_step_is_not_timed_and_the_rest_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("edgeseg.training.reporting.step_pace.time.monotonic", lambda: now[0])
    pace, told = StepPace(200), []
    for step in range(201, 230):
        now[0] += 60 if step == 201 else 2
        now[0] += 30 if step == 205 else 0  # an evaluation
        told.append(pace.seconds_a_step(step, 30.0 if step >= 205 else 0.0))
    assert [each for each in told if each is not None] == [2.0]
    assert told[10] == 2.0  # after the 11th step of this process
