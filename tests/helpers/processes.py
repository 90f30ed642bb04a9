"""Results of two processes and of one from the same data, for losses that must not depend
on their number.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn import functional as F

from edgeseg.losses.ael_adaptive import ConfidenceBank
from edgeseg.losses.baselines.adversarial import feature_matching
from edgeseg.losses.baselines.cac_directional import directional_contrast
from edgeseg.losses.corrmatch_correlation import AdaptiveThreshold
from edgeseg.losses.cross_entropy import cross_entropy
from edgeseg.losses.entropy import class_percentile_thresholds, percentile_threshold
from edgeseg.losses.shared.memory_bank import MemoryBank
from edgeseg.losses.u2pl_contrastive import info_nce, prototypes
from edgeseg.models import MEAN, STD, Network, Output
from edgeseg.models.pretrained.normalization import Normalization
from edgeseg.site import Site
from edgeseg.training.validation import Validation
from tests.helpers.sites import make_site

FRAMES, CLASSES, SIZE, WIDTH = 4, 5, 12, 6
ANCHORS = [
    (0, [3, 4]),
    (1, [9, 10]),
    (1, [-1]),
    (2, [-7, -8]),
]  # equal ones together: any draw of them is the same
Results = dict[str, Tensor]


def make_inputs() -> dict[str, Tensor]:
    """Four frames whose two halves differ: other classes, other numbers of ignored pixels."""
    draw = torch.Generator().manual_seed(0)
    pixels = FRAMES * SIZE * SIZE
    logits = 2 * torch.randn(FRAMES, CLASSES, SIZE, SIZE, generator=draw)
    label = torch.randint(0, CLASSES - 1, (FRAMES, SIZE, SIZE), generator=draw)
    label[:2][label[:2] == 0] = 1  # class 0 lives in the second half only, class 4 nowhere
    label[0, :7] = 255
    label[3, :2] = 255
    anchors = torch.zeros(pixels, CLASSES, dtype=torch.bool)
    kind = torch.zeros(pixels, dtype=torch.int64)
    for number, (name, places) in enumerate(ANCHORS):
        anchors[places, name], kind[places] = True, number
    rep = torch.randn(pixels, WIDTH, generator=draw)
    mask = torch.rand(pixels, CLASSES, generator=draw) < 0.02
    mask[:, 3] = False
    mask[:, 1] |= torch.rand(pixels, generator=draw) < 0.3  # more than one push may keep
    return {
        "logits": logits,
        "label": label,
        "anchors": anchors,
        "rep": rep,
        "mask": mask,
        "kind": kind,
    } | {
        "kinds": torch.randn(len(ANCHORS), WIDTH, generator=draw),
        "goal": F.normalize(torch.randn(CLASSES, WIDTH, generator=draw), dim=1),
        "weight": torch.rand(CLASSES, generator=draw) + 0.5,
        "negative": F.normalize(torch.randn(CLASSES, 7, WIDTH, generator=draw), dim=2),
        "other": torch.randn(pixels, WIDTH, generator=draw),
        "sure": torch.rand(2, pixels, generator=draw),
    }


def compute(data: dict[str, Tensor]) -> Results:
    """Everything that sums over processes, on what this process has."""
    logits, rep, kinds = (
        data[name].clone().requires_grad_(True) for name in ("logits", "rep", "kinds")
    )
    label, valid, probability = data["label"], data["label"] != 255, data["logits"].softmax(1)
    confidence = probability.amax(1)
    results: Results = {"threshold": percentile_threshold(confidence, valid, 0.2)}
    results["thresholds"] = class_percentile_thresholds(confidence, label, valid, 0.3, CLASSES)
    results["prototypes"] = prototypes(data["rep"], data["anchors"])
    bank = MemoryBank(CLASSES, 500, WIDTH)
    for _ in range(2):
        bank.push(data["rep"], data["mask"], 60)
    results |= {"bank": bank.store, "size": bank.size, "pointer": bank.pointer}
    confident = ConfidenceBank(CLASSES)
    confident.update(probability, label)
    confident.update(probability.flip(1), label)
    results |= {"confidence": confident.value, "seen": confident.seen}
    adaptive = AdaptiveThreshold(momentum=0.5)
    adaptive.update(confidence, label, valid)
    results["adaptive"] = adaptive.value

    present = data["anchors"].any(0)
    losses = {
        "cross_entropy": (cross_entropy(logits, label, data["weight"]), logits),
        "info_nce": (
            info_nce(
                kinds[data["kind"]],
                data["anchors"],
                data["goal"],
                data["negative"],
                present,
                8,
                0.5,
            ),
            kinds,
        ),
        "feature_matching": (feature_matching(data["other"], rep.square()), rep),
        "directional": (
            directional_contrast(
                rep,
                data["other"],
                data["sure"][0],
                data["sure"][1],
                label.flatten(),
                label.flatten(),
                valid.flatten(),
                data["negative"].flatten(0, 1),
                torch.arange(CLASSES).repeat_interleave(7),
                0.3,
            ),
            rep,
        ),
    }
    for name, (loss, source) in losses.items():
        results[name] = loss.detach()
        (results[name + " gradient"],) = torch.autograd.grad(loss, source)
    return results


def share_of_process(data: dict[str, Tensor], rank: int, world: int) -> dict[str, Tensor]:
    """The part of process `rank` of `world`: its frames, and all that does not belong to frames."""
    mine = {
        name: data[name].chunk(world)[rank]
        for name in ("logits", "label", "anchors", "rep", "mask", "kind", "other")
    }
    return data | mine | {"sure": data["sure"].chunk(world, dim=1)[rank]}


class PixelNetwork(nn.Module):
    """A network of one layer, with batch-norm statistics."""

    normalization = Normalization(MEAN, STD)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Output:
        return Output(self.norm(self.layer(images)), [], None)


def validation_counts(site: Path, rank: int) -> tuple[Tensor, Tensor]:
    """Confusions on 14 frames, of a network whose statistics differ between processes, and these
    statistics afterwards.
    """
    opened = Site.open(site)
    frames = 2 * opened.frames("labelled", "val")
    network = PixelNetwork()
    statistics = network.norm.running_mean
    assert statistics is not None
    statistics += rank
    validation = Validation(opened, frames, (64, 64), 200)
    as_network = cast(Network, network)
    counts = validation.count(as_network, validation.places, torch.device("cpu"))
    return torch.from_numpy(counts), statistics


def run_process(rank: int, world: int, folder: str) -> None:
    """One process of `world`; leaves its results in the folder."""
    torch.set_num_threads(1)
    place = (Path(folder) / "meeting").as_uri()
    distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=world)
    try:
        torch.manual_seed(rank)
        results = compute(share_of_process(make_inputs(), rank, world))
        results["validation"], results["statistics"] = validation_counts(
            Path(folder) / "site", rank
        )
        torch.save(results, Path(folder) / f"{rank}.pt")
    finally:
        distributed.destroy_process_group()


def compute_in_one_process() -> Results:
    """The same from one process that has all frames; for info_nce the mean over all anchors instead
    of over draws.
    """
    data = make_inputs()
    results = compute(data)
    kinds = data["kinds"].clone().requires_grad_(True)
    losses_of_draws = []
    for number, (name, _) in enumerate(ANCHORS):
        valid = torch.arange(CLASSES) == name
        mask = valid.expand(1, -1)
        losses_of_draws.append(
            info_nce(kinds[number, None], mask, data["goal"], data["negative"], valid, 1, 0.5)
        )
    loss = (
        losses_of_draws[0] + (2 * losses_of_draws[1] + losses_of_draws[2]) / 3 + losses_of_draws[3]
    ) / 3
    (gradient,) = torch.autograd.grad(loss, kinds)
    return results | {"info_nce": loss.detach(), "info_nce gradient": gradient}


def compute_in_processes(world: int, folder: Path) -> list[Results]:
    """The results of `world` processes."""
    make_site(folder / "site")
    spawn(run_process, (world, str(folder)), nprocs=world)  # type: ignore[no-untyped-call]
    return [torch.load(folder / f"{rank}.pt") for rank in range(world)]
