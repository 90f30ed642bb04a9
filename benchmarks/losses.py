"""The cost of U2PL's contrastive loss, fuzzy positives and AEL's bank, beside plain formulas.

    python -m benchmarks.losses [--size cpu] [--device cpu] [--rounds 15] [--threads 1]

Both sides of a row are timed in one process, interleaved in random order round by round; a ratio is
the median over rounds of the two times of a round, the spread is the fastest and the slowest one.
On a CPU it is processor time that counts, which other work on the machine disturbs least; with one
thread and nothing else to do that is the time on the clock. Losses are timed with their backward
pass. The formulas (`benchmarks/literal.py`) are the plain version: loops over classes, own
negatives for every anchor, queues that are cut and joined, copies to the host. So the ratio says
what vectorising is worth here and nothing about other repositories. Last comes the share of a whole
training step of U2PL that its contrastive loss takes, and the teacher's second pass that it needs;
the representation head is counted to the network.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from benchmarks import literal
from edgeseg.config import TrainConfig
from edgeseg.losses.ael_adaptive import ConfidenceBank, equalization_sampling_rates
from edgeseg.losses.entropy import entropy, percentile_threshold
from edgeseg.losses.fpl_fuzzy import fuzzy_loss, fuzzy_positives
from edgeseg.losses.shared.memory_bank import MemoryBank
from edgeseg.losses.u2pl_contrastive import (
    anchor_mask,
    class_ranks,
    info_nce,
    negative_mask,
    prototypes,
    rank_bounds,
)
from edgeseg.methods import METHODS, Batch, MethodContext
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.plugin import StepContext
from edgeseg.methods.plugins.u2pl_contrast import U2PLContrast
from edgeseg.models import Network, Output, build_network

ANCHORS, NEGATIVES, PUSHED, TEMPERATURE, DELTA_P, SHARE = 256, 50, 256, 0.5, 0.3, 0.1
Row = tuple[Callable[[], object], Callable[[], object]]


@dataclass(frozen=True)
class Size:
    """A batch: half of the frames are labelled, the representation has an eighth of the sides."""

    frames: int
    height: int
    width: int
    classes: int
    features: int
    bank: int = 4096


SIZES = {"cpu": Size(8, 192, 256, 11, 64), "gpu": Size(16, 512, 512, 21, 256)}


class Scene:
    """Inputs of all rows: smooth class maps with confident regions and uncertain borders."""

    def __init__(self, size: Size, device: torch.device) -> None:
        torch.manual_seed(0)
        self.size, small = size, (size.height // 8, size.width // 8)
        coarse = torch.randn(
            size.frames, size.classes, size.height // 16, size.width // 16, device=device
        )
        self.logits = 4 * torch.nn.functional.interpolate(
            coarse, size=(size.height, size.width), mode="bilinear"
        )
        self.probability = self.logits.softmax(1)
        self.label = self.probability.argmax(1)
        self.valid = torch.ones_like(self.label, dtype=torch.bool)
        self.entropy = entropy(self.probability)
        small_maps = torch.nn.functional.interpolate(self.probability, size=small, mode="area")
        self.small_probability = small_maps.movedim(1, -1).flatten(0, 2)
        self.small_label = self.small_probability.argmax(1)
        pixels = len(self.small_label)
        self.labelled = torch.arange(pixels, device=device) < pixels // 2
        small_entropy = entropy(small_maps).flatten()
        self.unreliable = ~self.labelled & (small_entropy > small_entropy.quantile(1 - 2 * SHARE))
        self.rep = torch.randn(pixels, size.features, device=device)
        self.low_rank, self.high_rank = rank_bounds(size.classes, 3, 20)
        self.negatives = negative_mask(
            self.small_label,
            self.small_probability,
            self.labelled,
            self.unreliable,
            self.low_rank,
            self.high_rank,
        )


def rows(scene: Scene) -> dict[str, Row]:
    """Both sides of every row, by name; the banks are full."""
    size, device = scene.size, scene.rep.device
    bank = MemoryBank(size.classes, size.bank, size.features).to(device)
    queues = literal.Queues(size.classes, size.bank, size.features)
    everything = torch.ones(len(scene.rep), size.classes, dtype=torch.bool, device=device)
    for _ in range(size.bank // PUSHED):
        bank.push(scene.rep, everything, PUSHED)
        queues.push(scene.rep, everything, PUSHED)
    labelled_or_reliable = ~scene.unreliable
    half = size.frames // 2
    target, logits = scene.probability[half:], scene.logits[:half]
    confidence_bank, literal_bank = (
        ConfidenceBank(size.classes).to(device),
        literal.ConfidenceBank(size.classes),
    )

    def contrast() -> Tensor:
        rep = scene.rep.clone().requires_grad_(True)
        with torch.no_grad():
            anchors = anchor_mask(
                scene.small_label, scene.small_probability, labelled_or_reliable, DELTA_P
            )
            mask = negative_mask(
                scene.small_label,
                scene.small_probability,
                scene.labelled,
                scene.unreliable,
                scene.low_rank,
                scene.high_rank,
            )
            positive = prototypes(scene.rep, anchors)
            bank.push(scene.rep, mask, PUSHED)
            negative = bank.draw(NEGATIVES)
            valid = anchors.any(0) & (bank.size > 0)
        loss = info_nce(rep, anchors, positive, negative, valid, ANCHORS, TEMPERATURE)
        return torch.autograd.grad(loss, rep)[0]

    def literal_contrast() -> Tensor:
        rep = scene.rep.clone().requires_grad_(True)
        loss = literal.contrast(
            rep,
            scene.rep,
            scene.small_probability,
            scene.small_label,
            labelled_or_reliable,
            scene.labelled,
            scene.unreliable,
            queues,
            scene.low_rank,
            scene.high_rank,
            DELTA_P,
            ANCHORS,
            NEGATIVES,
            TEMPERATURE,
            PUSHED,
        )
        return torch.autograd.grad(loss, rep)[0]

    def fuzzy(positives: Callable[..., Tensor], loss: Callable[..., Tensor]) -> Tensor:
        source = logits.clone().requires_grad_(True)
        return torch.autograd.grad(loss(source, positives(target, 0.9, 3)).mean(), source)[0]

    def equalize() -> Tensor:
        confidence_bank.update(scene.probability[:half], scene.label[:half])
        rates = equalization_sampling_rates(confidence_bank.value)[scene.label[half:]]
        return torch.rand(rates.shape, device=device) < rates

    def literal_equalize() -> Tensor:
        literal_bank.update(scene.probability[:half], scene.label[:half])
        return literal.equalized(
            scene.label[half:], literal.equalization_sampling_rates(literal_bank.value)
        )

    return {
        "U2PL contrast": (contrast, literal_contrast),
        "entropy threshold": (
            lambda: percentile_threshold(scene.entropy, scene.valid, SHARE),
            lambda: literal.percentile_threshold(scene.entropy, scene.valid, SHARE),
        ),
        "ranks": (
            lambda: class_ranks(scene.small_probability),
            lambda: literal.class_ranks(scene.small_probability),
        ),
        "bank push": (
            lambda: bank.push(scene.rep, scene.negatives, PUSHED),
            lambda: queues.push(scene.rep, scene.negatives, PUSHED),
        ),
        "FPL loss": (
            lambda: fuzzy(fuzzy_positives, fuzzy_loss),
            lambda: fuzzy(literal.fuzzy_positives, literal.fuzzy_loss),
        ),
        "AEL bank, sampling": (equalize, literal_equalize),
    }


def step_parts(size: Size, device: torch.device) -> dict[str, Callable[[], object]]:
    """A whole step of U2PL, its contrastive loss alone, and the teacher's second pass alone.

    The step includes optimizer and average.
    """
    torch.manual_seed(0)
    config = TrainConfig(
        method="u2pl", encoder="mobilenetv2_100", weights="none", cutmix=0.0, rep_dim=size.features
    )

    def network() -> Network:
        return build_network(config.arch, config.encoder, size.classes, "none", size.features)

    method = (
        METHODS["u2pl"](MethodContext(network(), torch.ones(size.classes), config, network))
        .to(device)
        .train()
    )
    assert isinstance(method, OnlineMethod)
    (plugin,) = method.plugins
    assert isinstance(plugin, U2PLContrast)
    optimizer = torch.optim.AdamW(method.student.parameters(), lr=1e-4)
    shape = (size.frames // 2, 3, size.height, size.width)
    masks = torch.randint(0, size.classes, (shape[0], *shape[2:]), device=device)
    valid = torch.ones_like(masks, dtype=torch.bool)
    labelled = Batch(torch.rand(shape, device=device), masks, valid)
    unlabelled = Batch(torch.rand(shape, device=device), torch.full_like(masks, 255), valid)
    caught: list[tuple[StepContext, Output, Tensor]] = []  # arguments of the plug-in's contrast
    inner = plugin.contrast

    def catch(step_context: StepContext, teacher_output: Output, reliable: Tensor) -> Tensor:
        caught[:] = [(step_context, teacher_output, reliable)]
        return inner(step_context, teacher_output, reliable)

    plugin.contrast = catch  # type: ignore[method-assign]
    images = method.normalize(torch.cat([labelled.images, unlabelled.images]))

    def step() -> None:
        method(labelled, unlabelled, 0.5).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        method.after_step(100)

    def contrast() -> None:
        step_context, teacher_output, reliable = caught[0]
        assert step_context.output.rep is not None
        rep = step_context.output.rep.detach().clone().requires_grad_(True)
        output = step_context.output._replace(rep=rep)
        with_rep = replace(step_context, output=output)
        torch.autograd.grad(inner(with_rep, teacher_output, reliable), rep)

    @torch.no_grad()
    def second_pass() -> object:
        return method.teacher(images)

    step()
    return {"whole step": step, "contrastive loss": contrast, "teacher's second pass": second_pass}


def time_all(
    functions: dict[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Measure milliseconds of each function, round by round, after a round to warm up.

    The order within a round is random. It is the time of the processor, or with a GPU on the clock
    until it is done.
    """
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    times: dict[str, list[float]] = {name: [] for name in functions}
    order = list(functions)
    for number in range(rounds + 1):
        random.shuffle(order)
        for name in order:
            _wait(device)
            began = clock()
            functions[name]()
            _wait(device)
            if number:
                times[name].append(1000 * (clock() - began))
    return times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Print both tables and one JSON line."""
    parser = argparse.ArgumentParser(
        description="Time the losses beside their formulas written out."
    )
    parser.add_argument("--size", default="cpu", choices=list(SIZES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device, size = torch.device(given.device), SIZES[given.size]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    report: dict[str, Any] = {  # what JSON holds
        "benchmark": "losses",
        "size": given.size,
        "device": name,
        "threads": given.threads,
        "rounds": given.rounds,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    print(", ".join(f"{key} {value}" for key, value in report.items()))
    print(
        f"{size.frames} frames of {size.width}x{size.height}, {size.classes} classes, "
        f"representation {size.width // 8}x{size.height // 8} with {size.features} features, "
        f"bank {size.bank}\n"
    )
    table = rows(Scene(size, device))
    pairs = {f"{row} {side}": table[row][side] for row in table for side in (0, 1)}
    times = time_all(pairs, given.rounds, device)
    print(
        f"{'milliseconds':22}{'edgeseg':>9}{'spread':>16}{'formula':>10}{'spread':>18}{'times':>8}"
    )
    for row in table:
        ours, literal_times = times[f"{row} 0"], times[f"{row} 1"]
        gain = statistics.median(
            slow / fast for slow, fast in zip(literal_times, ours, strict=True)
        )
        print(
            f"{row:22}{statistics.median(ours):9.2f}{_spread(ours):>16}"
            f"{statistics.median(literal_times):10.2f}{_spread(literal_times):>18}{gain:8.1f}"
        )
        report[row] = {
            "ms": statistics.median(ours),
            "formula_ms": statistics.median(literal_times),
            "times": gain,
        }
    parts = time_all(step_parts(size, device), given.rounds, device)
    whole = parts["whole step"]
    print(f"\n{'a step of u2pl':22}{'ms':>9}{'spread':>19}{'share':>9}")
    for row, spent in parts.items():
        share = statistics.median(
            part_ms / step_ms for part_ms, step_ms in zip(spent, whole, strict=True)
        )
        print(f"{row:22}{statistics.median(spent):9.2f}{_spread(spent):>19}{100 * share:8.1f}%")
        report[row] = {"ms": statistics.median(spent), "share": share}
    print("\n" + json.dumps(report))


def _spread(values: list[float]) -> str:
    return f"{min(values):.2f}..{max(values):.2f}"


if __name__ == "__main__":
    main()
