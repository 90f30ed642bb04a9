"""A range estimator is one class and one entry in the registry."""

from __future__ import annotations

import typing

import numpy as np
import pytest

from edgeseg.calibration.estimator import Estimator
from edgeseg.calibration.frame_selection import Strategy
from edgeseg.calibration.histogram import Histogram
from edgeseg.calibration.registry import ESTIMATORS
from edgeseg.config import ExportConfig
from edgeseg.export.quantization.quantizer import CalibrationResult
from tests.helpers.graphs import empty_network


class Half(Estimator):
    """Half of the largest magnitude."""

    def clip_magnitude(self, steps: int) -> float:
        del steps
        return self.histogram.max_magnitude / 2


def test_an_entry_is_all_that_a_new_estimator_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ESTIMATORS, "half", Half)
    histogram = Histogram()
    histogram.collect(np.array([-4.0, 1.0], np.float32))
    calibrated = CalibrationResult(empty_network(), {"tensor": histogram}, {})
    assert calibrated.ranges("half", signed=True) == {"tensor": (-2.0, 2.0)}


def test_the_configuration_offers_the_strategies_of_frame_selection() -> None:
    offered = ExportConfig.model_fields["calibration"].annotation
    assert typing.get_args(offered) == typing.get_args(Strategy)
