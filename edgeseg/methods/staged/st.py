"""ST (Yang et al., CVPR 2022, arXiv 2106.05095): a supervised teacher labels the footage once.

A fresh student learns it: strong colors and CutOut on footage, weak views of labelled frames.
Labels are hard, all are taken.
"""

from __future__ import annotations

from pathlib import Path

from edgeseg.methods.framework.staged_method import Stages, self_training
from edgeseg.methods.online.suponly import suponly


def st(stages: Stages) -> Path:
    """Half of the steps for the teacher, half for the student."""
    teacher = stages.train("teacher", 0.5, suponly)
    labels = stages.label("labels", teacher)
    return stages.train("student", 0.5, self_training, labels=labels, last=True)
