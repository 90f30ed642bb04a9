"""The registry of range estimators by name, in the order in which the recipe search tries them.

A new estimator is one file in this package and one entry here; recipe search, range computation
and benchmarks read the names from this dict.
"""

from __future__ import annotations

from edgeseg.calibration.entropy import Entropy
from edgeseg.calibration.estimator import Estimator
from edgeseg.calibration.minmax import MinMax
from edgeseg.calibration.mse import MSE
from edgeseg.calibration.percentile import Percentile

ESTIMATORS: dict[str, type[Estimator]] = {
    "mse": MSE,
    "percentile": Percentile,
    "entropy": Entropy,
    "minmax": MinMax,
}
