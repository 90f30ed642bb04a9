"""Cross-entropy leaves ignored pixels out, and class weights average 1."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from edgeseg.losses.cross_entropy import class_weights, cross_entropy


def test_cross_entropy_ignores_ignored_pixels_and_leaves_its_arguments_alone() -> None:
    logits, target = torch.randn(1, 3, 2, 2), torch.tensor([[[0, 255], [2, 255]]])
    before = logits.clone(), target.clone()
    loss = cross_entropy(logits, target)
    expected = (
        F.cross_entropy(logits[:, :, 0, 0], target[:, 0, 0])
        + F.cross_entropy(logits[:, :, 1, 0], target[:, 1, 0])
    ) / 2
    assert float(loss) == pytest.approx(float(expected))
    assert torch.equal(logits, before[0]) and torch.equal(target, before[1])


def test_cross_entropy_with_nothing_to_count_is_a_differentiable_zero() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = cross_entropy(logits, torch.full((1, 2, 2), 255))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss) == 0 and logits.grad is not None and not logits.grad.any()


def test_class_weights_average_one_over_the_labelled_pixels() -> None:
    pixels = torch.tensor([900, 90, 10, 0])
    weight = class_weights(pixels, 0.4)
    assert float((weight * pixels).sum() / pixels.sum()) == pytest.approx(1, rel=1e-5)
    assert float(weight[2] / weight[0]) == pytest.approx(90**0.4, rel=1e-4)
    assert weight[3] == weight[2]
    assert torch.equal(class_weights(pixels, 0.0), torch.ones(4))
