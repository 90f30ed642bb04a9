"""The real heavy work of a round; imported only when a round is run, since it needs torch."""

from __future__ import annotations

from edgeseg.adapt.drift_check import check_drift
from edgeseg.adapt.gate_measurement import measure_bundles
from edgeseg.adapt.round_steps import TrainingSteps
from edgeseg.export.exporter import export
from edgeseg.training.distill import distill
from edgeseg.training.train import train

REAL = TrainingSteps(check_drift, train, distill, export, measure_bundles)
