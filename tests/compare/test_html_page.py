"""Curves and pictures on the page of a comparison."""

from __future__ import annotations

import pytest

from edgeseg.compare.html_page import even_rows, learning_curve, pseudo_label_divergence
from tests.helpers.comparison import method_result


def test_curves_span_all_seeds_and_drift_is_nought_where_labels_agree() -> None:
    line = learning_curve(method_result("a", [40, 60]))
    assert (line.x, line.y, line.band) == ([2.0, 4.0], [25.0, 50.0], [(20.0, 30.0), (40.0, 60.0)])
    assert pseudo_label_divergence({}, {"a": 5}) == 0 and pseudo_label_divergence(
        {"a": 0.5, "b": 0.5}, {"a": 50, "b": 50}
    ) == pytest.approx(0)
    assert pseudo_label_divergence({"a": 1.0, "b": 0.0}, {"a": 0, "b": 1000}) > 5


@pytest.mark.parametrize(("number", "widths"), [(4, [4]), (6, [6]), (7, [4, 3]), (13, [5, 5, 3])])
def test_pictures_of_many_methods_take_several_rows(number: int, widths: list[int]) -> None:
    import numpy as np

    cells = [(np.zeros((1, 1, 3), np.uint8), str(n)) for n in range(number)]
    assert [len(line) for line in even_rows(cells)] == widths
