"""How many frames fit through the network at a time: a batch that is too large is split, its
gradients are added up.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from edgeseg.errors import ConfigError, TrainError

if TYPE_CHECKING:
    from torch import Tensor, device, nn

SMALLEST_PART = 2  # frames at a time; batch norm cannot do with one
SAFETY_FACTOR = 1.1  # on a measured figure; a GPU's memory has gaps
# on what autograd saves: on a CPU steps allocate 0 to 28 % more for a moment, in the networks tried
CPU_OVERHEAD = 1.2
UNITS = {
    "": 1,
    "k": 1000,
    "m": 1000**2,
    "g": 1000**3,
    "t": 1000**4,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "ti": 1 << 40,
}


class AccumulationPlan(NamedTuple):
    """How a batch goes through the network: `accumulate` times `micro` frames."""

    part_size: int
    parts: int


def parse_bytes(text: str) -> int:
    """ "6GB", "512 MiB", "1.5g" or "6000000000" as bytes.

    Raises:
        ConfigError: it is no amount of memory.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", text, re.IGNORECASE)
    unit = UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None or float(found[1]) == 0:
        raise ConfigError(
            f"max_memory {text!r} is no amount of memory; write it like 6GB or 512MiB"
        )
    return int(float(found[1]) * unit)


def plan_accumulation(
    measure: Callable[[int], int], batch: int, budget: int, others: Sequence[int] = ()
) -> AccumulationPlan:
    """The fewest parts of equal size that fit, judged from the two smallest ones.

    Args:
        measure: peak bytes of a step with so many of the `batch` frames, and of the others their
            share; may raise MemoryError.
        budget: bytes that a step may take.
        others: batch sizes that are split into as many parts, such as that of unlabelled frames.

    Raises:
        TrainError: not even the smallest part fits.
    """
    counts = [
        count
        for count in range(batch // SMALLEST_PART, 0, -1)
        if all(size % count == 0 for size in (batch, *others))
    ]
    sizes = [batch // count for count in counts]
    peaks: list[int] = []
    try:
        for size in sizes[:2]:
            peaks.append(measure(size))
    except MemoryError:
        sizes = sizes[: max(1, len(peaks))]  # what is larger fails too
    slope = max(0.0, (peaks[1] - peaks[0]) / (sizes[1] - sizes[0])) if len(peaks) > 1 else 0.0
    fitting = [
        size
        for size in sizes
        if peaks and (peaks[0] + slope * (size - sizes[0])) * SAFETY_FACTOR <= budget
    ]
    if fitting:
        return AccumulationPlan(fitting[-1], batch // fitting[-1])
    needs = (
        f"needs {peaks[0] * SAFETY_FACTOR / 1e9:.2f} GB" if peaks else "is more than the device has"
    )
    raise TrainError(
        f"the smallest part that a batch of {' + '.join(map(str, (batch, *others)))} splits into, {sizes[0]} frames, "
        f"{needs} but max_memory is {budget / 1e9:.2f} GB; raise it, take another batch, a smaller imgsz or encoder"
    )


def measure_step(step: Callable[[], Tensor], where: device, module: nn.Module) -> int:
    """Peak bytes of forward and backward, with gradients of the part before and the two moments
    that AdamW will keep.

    On a GPU it is measured; on a CPU it is told from what autograd saves. The CUDA context, or the
    interpreter with its libraries, comes on top. Afterwards `module` has no gradients; its buffers
    and the random state are as before.

    Args:
        step: gives the loss.
        module: all that is trained; its optimizer has not made a step yet.

    Raises:
        MemoryError: the GPU has not that much.
    """
    import torch  # the command line reads --max-memory without it

    trained = sum(each.nbytes for each in module.parameters() if each.requires_grad)
    buffers = [each.detach().to("cpu", copy=True) for each in module.buffers()]
    module.zero_grad(set_to_none=True)
    try:
        with torch.random.fork_rng([where] if where.type == "cuda" else []):
            if where.type != "cuda":
                return _saved(step, module) + 3 * trained
            for _ in range(
                2
            ):  # the second one has gradients to add to, and workspaces that exist already
                torch.cuda.synchronize(where)
                torch.cuda.reset_peak_memory_stats(where)
                torch.autograd.backward(step())
            torch.cuda.synchronize(where)
            return torch.cuda.max_memory_allocated(where) + 2 * trained
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from None
    finally:
        module.zero_grad(set_to_none=True)
        with torch.no_grad():
            for each, before in zip(module.buffers(), buffers):
                each.copy_(before)
        if where.type == "cuda":
            torch.cuda.empty_cache()


def keep_freed_memory() -> None:
    """Let this process keep the memory that tensors free, where the C library is glibc; elsewhere
    nothing happens.

    By itself glibc gives every large tensor back to the system at once, and the next step pays for
    each page anew (what that costs is in benchmarks/RESULTS.md). The most that is ever held stays
    the same.
    """
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in (
            (-4, 0),
            (-1, 2**31 - 1),
            (-2, 64 << 20),
        ):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            mallopt(option, value)


def _saved(step: Callable[[], Tensor], module: nn.Module) -> int:
    """Bytes of the tensors of `module` and of those that autograd keeps until backward; views share
    a storage.
    """
    import torch

    own = {
        each.untyped_storage().data_ptr(): each.nbytes
        for each in (*module.parameters(), *module.buffers())
    }
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = step()  # held, so that no storage is freed and its address counted once for two
    total = sum(own.values()) + round(CPU_OVERHEAD * sum(saved.values()))
    del loss
    return total
