"""ST (Yang et al., CVPR 2022, arXiv 2106.05095): a supervised teacher labels the footage, a fresh
student learns it.

The student sees strong colors and CutOut on footage, weak views of labelled frames. Labels are
hard, all are taken.
"""

from __future__ import annotations

from pathlib import Path

from edgeseg.methods.framework.staged_method import Stages, learner
from edgeseg.methods.online.suponly import suponly


def st(stages: Stages) -> Path:
    """Half of the steps for the teacher, half for the student."""
    teacher = stages.train("teacher", 0.5, suponly)
    return stages.train("student", 0.5, learner, labels=stages.label("labels", teacher), last=True)
