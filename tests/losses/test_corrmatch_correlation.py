"""The adaptive threshold and the propagated labels of CorrMatch."""

from __future__ import annotations

import pytest
import torch

from edgeseg.losses import corrmatch_correlation


def test_the_adaptive_threshold_follows_the_mean_of_the_largest_confidence_of_each_class() -> None:
    adaptive = corrmatch_correlation.AdaptiveThreshold(0.8, 0.9)
    confidence = torch.tensor([[[0.5, 0.7, 0.99], [0.9, 0.95, 0.1]]])
    label, valid = (
        torch.tensor([[[0, 0, 1], [2, 2, 255]]]),
        torch.tensor([[[True, True, False], [True, True, True]]]),
    )
    adaptive.update(confidence, label, valid)
    assert float(adaptive.value) == pytest.approx(0.9 * 0.8 + 0.1 * (0.7 + 0.95) / 2)
    before = adaptive.value.clone()
    adaptive.update(confidence, label, torch.zeros_like(valid))
    assert torch.equal(adaptive.value, before)


def test_regions_grow_where_their_confident_pixels_agree() -> None:
    torch.manual_seed(0)
    features = torch.zeros(1, 3, 4, 6)
    features[:, 0, :, :2], features[:, 1, :, 2:4], features[:, 2, :, 4:] = (
        9,
        9,
        9,
    )  # three regions of eight places
    label = torch.zeros(1, 8, 12, dtype=torch.int64)  # labels at twice the features' size
    label[:, :, 4:8], label[:, :, 8:] = 1, 2
    label[:, :2, :2] = 3  # an island of another class inside a region that is otherwise sure
    confidence, valid = torch.full((1, 8, 12), 0.95), torch.ones(1, 8, 12, dtype=torch.bool)
    confidence[:, :2, :4] = 0.1
    confidence[:, :7, 4:8] = 0.1  # too few are sure here
    label[:, 4:, 8:] = 4  # they do not agree here
    valid[:, 7, 0] = False
    before = label.clone()
    found, reached = corrmatch_correlation.propagate_labels(
        features, label, confidence, valid, 0.7, 24, classes=5
    )
    assert torch.equal(label, before)
    assert bool((found[:, :, :4][valid[:, :, :4]] == 0).all()) and torch.equal(
        reached[:, :, :4], valid[:, :, :4]
    )
    assert torch.equal(found[:, :, 4:], label[:, :, 4:]) and not reached[:, :, 4:].any()
    everything = corrmatch_correlation.propagate_labels(
        features, label, confidence, valid, torch.tensor(0.7), 24
    )
    assert torch.equal(everything[0], found) and torch.equal(everything[1], reached)
    nothing = corrmatch_correlation.propagate_labels(
        features, label, confidence, torch.zeros_like(valid), 0.7, 24, classes=5
    )
    assert torch.equal(nothing[0], label) and not nothing[1].any()
