"""Naive Student (Chen et al., ECCV 2020, arXiv 2005.10266), made for video.

The teacher labels the footage around the labelled frames with many views, a student learns these
labels alone, is then tuned on the real ones, and labels anew.
"""

from __future__ import annotations

from pathlib import Path

from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.staged_method import SelfTraining, Stages
from edgeseg.methods.online.suponly import suponly

ROUNDS = 2
# Shares of the steps for the teacher and for tuning; the rest is divided among the students.
TEACHER_SHARE, TUNING_SHARE = 0.25, 0.125


def naive_student(stages: Stages) -> Path:
    """A teacher, then rounds of labels, a fresh student on them, and tuning on real labels."""
    weights = stages.train("teacher", TEACHER_SHARE, suponly)
    student_share = (1 - TEACHER_SHARE) / ROUNDS - TUNING_SHARE
    for number in range(1, ROUNDS + 1):
        labels = stages.label(f"labels-{number}", weights)
        weights = stages.train(f"student-{number}", student_share, _student, labels=labels)
        weights = stages.train(
            f"tuned-{number}", TUNING_SHARE, suponly, start=weights, last=number == ROUNDS
        )
    return weights


def _student(context: MethodContext) -> Method:
    return SelfTraining(context, pseudo_only=True)
