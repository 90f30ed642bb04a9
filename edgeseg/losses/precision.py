"""In which precision losses are computed: float32 whatever the network ran in, float64 where a test
asks for it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def to_float32(values: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 stay what they are."""
    return values if values.dtype == torch.float64 else values.float()


def full_precision(values: Tensor) -> torch.autocast:
    """A context in which autocast leaves the matrix products of `values` alone; elementwise ones it
    never touches.
    """
    return torch.autocast(values.device.type, enabled=False)
