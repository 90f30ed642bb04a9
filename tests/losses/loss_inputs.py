"""Random inputs of losses, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

CLASSES = (2, 3, 4, 21)
every_number = pytest.mark.parametrize("classes", CLASSES)


def normal(*shape: int) -> Tensor:
    """Numbers of the standard normal distribution."""
    return torch.randn(*shape, dtype=torch.float64)


def class_probabilities(*shape: int) -> Tensor:
    """Probabilities that sum to 1 along the second dimension."""
    return (2 * normal(*shape)).softmax(1)


def some_labels(classes: int, *shape: int) -> Tensor:
    """Labels, of which the first column is ignored."""
    label = torch.randint(0, classes, shape)
    label[..., 0] = 255
    return label
