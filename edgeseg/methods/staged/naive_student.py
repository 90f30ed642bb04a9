"""Naive Student (Chen et al., ECCV 2020, arXiv 2005.10266): made for video. The teacher labels the
footage around the labelled frames with many views, a student learns these labels alone, is then
tuned on the real ones, and labels anew.
"""

from __future__ import annotations

from pathlib import Path

from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.staged_method import Learner, Stages
from edgeseg.methods.online.suponly import suponly

ROUNDS = 2
TEACHER, TUNING = 0.25, 0.125  # shares of the steps; the rest is divided among the students


def naive_student(stages: Stages) -> Path:
    """A teacher, then rounds of labels, a fresh student on them, and tuning on real labels."""
    weights = stages.train("teacher", TEACHER, suponly)
    student = (1 - TEACHER) / ROUNDS - TUNING
    for number in range(1, ROUNDS + 1):
        labels = stages.label(f"labels-{number}", weights)
        weights = stages.train(f"student-{number}", student, _student, labels=labels)
        weights = stages.train(
            f"tuned-{number}", TUNING, suponly, start=weights, last=number == ROUNDS
        )
    return weights


def _student(kit: MethodContext) -> Method:
    return Learner(kit, pseudo_only=True)
