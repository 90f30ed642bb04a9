"""The real heavy work of a round; imported only when a round is run, since it needs torch."""

from __future__ import annotations

from edgeseg.adapt.measure import compare
from edgeseg.adapt.pseudo import pseudo_label
from edgeseg.adapt.steps import Steps
from edgeseg.distill import distill
from edgeseg.export.run import export
from edgeseg.train import train

REAL = Steps(pseudo_label, train, distill, export, compare)
