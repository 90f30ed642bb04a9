"""Steps of whole methods on one process and on two that share the frames; for
tests/test_devices.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from torch.multiprocessing.spawn import spawn
from torch.nn.utils import parameters_to_vector

from edgeseg.methods import METHODS, Batch
from tests.helpers.methods import batch, method_context

NAMES = ("suponly", "cutmix_mt", "u2pl", "fixmatch", "cps", "fpl_cps", "ael")
CLASSES = 4


def steps(name: str, rows: slice) -> dict[str, Tensor]:
    """Two steps of a method without its random parts on some rows of four uneven frames."""
    torch.manual_seed(0)
    plain: dict[str, Any] = {
        "cutmix": 0.0,
        "strong": False,
        "confidence": 0.2,
        "warmup": 0.0,
        "ramp": 0.0,
    }  # Any: values
    # Draws differ between processes: no contrast, no pasting, no thinning out.
    plain |= {"u2pl": {"weight": 0.0, "alpha": 0.5}, "ael": {"copy_paste": 0.0, "least_keep": 1.0}}
    method = METHODS[name](method_context(CLASSES, method=name, **plain)).eval()
    labelled, unlabelled = batch(4, CLASSES), batch(4, CLASSES, seed=1, labelled=False)
    labelled.masks[0, :40], labelled.masks[3, :8] = 255, 255
    unlabelled.valid[2, :, :50] = False
    ours, others = (Batch(*(part[rows] for part in whole)) for whole in (labelled, unlabelled))
    for _ in range(2):
        result = method(ours, others, 0.5)
    result.loss.backward()
    statistics = [value for key, value in method.teacher.named_buffers() if "running_mean" in key]
    found = {"loss": result.loss.detach(), "statistics": parameters_to_vector(statistics)}
    slopes = [
        each.grad if each.grad is not None else torch.zeros_like(each)
        for each in method.student.parameters()
    ]
    return found | {"gradient": parameters_to_vector(slopes)}


def _work(rank: int, world: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world
    )
    share = 4 // world
    rows = slice(rank * share, (rank + 1) * share)
    torch.save({name: steps(name, rows) for name in NAMES}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def together(world: int, folder: Path) -> list[dict[str, dict[str, Tensor]]]:
    """The results of each of `world` processes."""
    spawn(_work, (world, str(folder)), nprocs=world)  # type: ignore[no-untyped-call]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]
