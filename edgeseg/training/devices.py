"""The processes and devices that train together, their precision, and their shares of a batch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn

from edgeseg.config import LoopConfig
from edgeseg.errors import TrainError
from edgeseg.methods import Method
from edgeseg.training.memory.allocator import keep_freed_memory


@dataclass(frozen=True)
class Devices:
    """This process among those that train together.

    Attributes:
        fabric: starts the processes, averages their gradients and moves tensors.
        bf16: whether forward passes compute in bfloat16.
    """

    fabric: Fabric
    bf16: bool

    @classmethod
    def launch(cls, config: LoopConfig) -> Devices:
        """Start the processes that the configuration asks for; from here on all run the same code.

        Raises:
            TrainError: a GPU is asked for that torch does not see.
        """
        cuda = _require_device(config)
        several = config.devices * config.nodes > 1
        strategy = data_parallel_strategy() if several else "auto"
        # Precision stays out of Fabric's hands: it would cut the images themselves to bfloat16.
        fabric = Fabric(
            accelerator="cuda" if cuda else "cpu",
            devices=config.devices,
            num_nodes=config.nodes,
            strategy=strategy,
        )
        fabric.launch()
        if not cuda:
            keep_freed_memory()
        return cls(fabric, computes_in_bf16(config, cuda=cuda))

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return self.fabric.device

    @property
    def rank(self) -> int:
        """The number of this process among all, from 0."""
        return self.fabric.global_rank

    @property
    def world_size(self) -> int:
        """The number of processes that train together."""
        return self.fabric.world_size

    @property
    def is_main(self) -> bool:
        """True in the one process that evaluates and writes the run folder."""
        return self.fabric.is_global_zero

    def lock_path(self, run: Path) -> Path:
        """The folder that this process locks while it trains into the run folder."""
        return run / f"rank{self.rank}" if self.world_size > 1 else run

    def autocast(self) -> AbstractContextManager[object]:
        """The context of a forward pass in the precision of this training."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def synchronize_batch_norms(self, method: Method) -> None:
        """Let batch norms of what is trained see the frames of all devices.

        Torch can do that on GPUs only; on CPUs nothing happens.
        """
        if self.world_size == 1 or self.device.type != "cuda":
            return
        for name, module in list(method.named_children()):
            if any(parameter.requires_grad for parameter in module.parameters()):
                convert = nn.SyncBatchNorm.convert_sync_batchnorm
                setattr(method, name, convert(module))  # type: ignore[no-untyped-call]


def data_parallel_strategy() -> DDPStrategy:
    """The way in which several processes average their gradients."""
    return DDPStrategy(broadcast_buffers=False, find_unused_parameters=True)


def trains_on_cuda(config: LoopConfig) -> bool:
    """Tell whether the configuration means a GPU.

    It does if it names one, or leaves the choice and torch sees one.
    """
    return config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available())


def _require_device(config: LoopConfig) -> bool:
    """Refuse GPUs that are not there, else `trains_on_cuda`."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise TrainError(
            "device is cuda but torch sees no GPU; set device to auto or cpu, "
            "or install torch with CUDA"
        )
    cuda = trains_on_cuda(config)
    if cuda and config.devices > torch.cuda.device_count():
        raise TrainError(
            f"devices is {config.devices} but there are {torch.cuda.device_count()} GPUs; "
            "lower --devices"
        )
    return cuda


def computes_in_bf16(config: LoopConfig, *, cuda: bool) -> bool:
    """Tell whether bfloat16 is asked for, or left open and fast on the device."""
    if config.precision == "auto":
        return torch.cuda.is_bf16_supported() if cuda else cpu_has_bf16()
    return config.precision == "bf16"


def cpu_has_bf16() -> bool:
    """Tell whether the CPU multiplies bfloat16 itself; emulated it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


@dataclass(frozen=True)
class BatchShares:
    """Frames of a step that one process takes.

    Attributes:
        labelled, unlabelled: numbers of frames; the second means nothing to a method without
            unlabelled frames.
    """

    labelled: int
    unlabelled: int


def share_batches(config: LoopConfig, processes: int, *, unlabelled: bool = True) -> BatchShares:
    """Divide the batches of a step by the processes; batch sizes are those of all together.

    Args:
        unlabelled: whether the method takes unlabelled frames.

    Raises:
        TrainError: they cannot be shared, or a process cannot split its share into
            `config.accumulate` parts.
    """
    parts = config.accumulate
    # Batch norm needs two labelled frames in each part. Unlabelled ones may come singly, but
    # a process takes two at least.
    smallest_shares = [("batch", config.batch, 2 * parts)]
    if unlabelled:
        smallest_shares.append(("batch_unlabelled", config.batch_unlabelled, max(2, parts)))
    for name, batch, smallest in smallest_shares:
        if processes > 1 and (batch % (processes * parts) or batch < processes * smallest):
            split = f", each in accumulate = {parts} parts" if parts > 1 else ""
            raise TrainError(
                f"{name} = {batch} cannot be shared by {processes} devices{split}; "
                f"make it a multiple of {2 * processes * parts}"
            )
    return BatchShares(config.batch // processes, config.batch_unlabelled // processes)
