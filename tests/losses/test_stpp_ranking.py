"""ST++'s stability is that of the formula."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import literal
from edgeseg.losses import stpp_ranking
from tests.losses.loss_inputs import every_number


@every_number
def test_stability_is_that_of_the_formula(classes: int) -> None:
    rng = np.random.default_rng(classes)
    masks = [rng.integers(0, classes, (6, 7)).astype(np.uint8) for _ in range(4)]
    assert stpp_ranking.stability(masks, classes + 1) == pytest.approx(
        literal.stability(masks, classes + 1)
    )
    assert stpp_ranking.stability([masks[0]] * 3, classes) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="2 or more"):
        stpp_ranking.stability(masks[:1], classes)
