"""Random numbers that are the same on every device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map


class SharedRandom(TorchDispatchMode):  # type: ignore[no-untyped-call]  # as torch wrote it
    """Draws on the CPU whatever is random inside a `with` block, and moves it to its device.

    A GPU draws other numbers than a CPU from the same seed. With these both see the same
    augmentation, the same dropout and the same sampled pixels, and their losses can be compared.
    """

    def __torch_dispatch__(
        self,
        func: Any,  # Any: torch's own signature
        types: Sequence[type],
        args: Any = (),
        kwargs: Any = None,
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        device = _device_of(args, kwargs)
        on_cpu = tree_map(_to_cpu, (args, kwargs))
        drawn = func(*on_cpu[0], **on_cpu[1])
        if func._schema.is_mutable:  # such as `uniform_`, whose first argument is its result
            return args[0].copy_(drawn)
        return tree_map(lambda value: value.to(device) if _is_tensor(value) else value, drawn)


def _device_of(args: Any, kwargs: dict[str, Any]) -> torch.device:  # Any: see above
    """The device that the result is to be on."""
    named = kwargs.get("device")
    if named is not None:
        return torch.device(named)
    for value in tree_leaves((args, kwargs)):
        if _is_tensor(value):
            return torch.device(value.device)
    return torch.device("cpu")


def _to_cpu(value: Any) -> Any:  # Any: see above
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return value.cpu() if _is_tensor(value) else value


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)
