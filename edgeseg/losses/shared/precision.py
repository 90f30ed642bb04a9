"""The precision that losses are computed in: float32 after networks in half precision."""

from __future__ import annotations

import torch
from torch import Tensor


def to_float32(values: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 stay what they are."""
    return values if values.dtype == torch.float64 else values.float()


def full_precision(values: Tensor) -> torch.autocast:
    """A context in which autocast leaves the matrix products of `values` alone.

    Elementwise operations it leaves alone anyway.
    """
    return torch.autocast(values.device.type, enabled=False)
