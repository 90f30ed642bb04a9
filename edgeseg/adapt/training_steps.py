"""The real heavy work of a round; imported only when a round is run, since it needs torch."""

from __future__ import annotations

from edgeseg.adapt.drift_check import pseudo_label
from edgeseg.adapt.gate_measurement import compare
from edgeseg.adapt.round_steps import Steps
from edgeseg.export.exporter import export
from edgeseg.training.distill import distill
from edgeseg.training.train import train

REAL = Steps(pseudo_label, train, distill, export, compare)
