"""Seconds of a training step with and without channels_last and torch.compile.

    OMP_NUM_THREADS=1 python benchmarks/loop.py [--rounds 15] [--precision auto] [--device auto]

It is u2pl at the CPU preset: DeepLabV3+ on MobileNetV2, random weights and frames, 192x256, 11
classes, batch 4 + 4. A step is all that the loop does: augmentation, forward, backward, clipping,
AdamW and the teacher's average, late in a run when every loss counts. Every row has networks of its
own; rows take turns in random order, round by round, and a ratio is the median over rounds of a
row's time by that of the first row in the same round. On a busy machine look at "CPU ms", processor
time, which other work disturbs less. Student and teacher are compiled separately, in place; "ready
after" is what the first steps took, which compile. On a CPU that takes a C++ compiler; without one
those rows are left out.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import random
import shutil
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from edgeseg.config import TrainConfig, validate_config
from edgeseg.data.augment import weak_augment
from edgeseg.methods import METHODS, Batch, Method, MethodContext, StepResult
from edgeseg.models import Network, build_network
from edgeseg.training.devices import cpu_has_bf16
from edgeseg.training.memory.allocator import keep_freed_memory
from edgeseg.training.optimizer import clip_gradients

CLASSES = 11
PROGRESS = 0.9
PRESET = {
    "method": "u2pl",
    "encoder": "mobilenetv2_100",
    "weights": "none",
    "imgsz": [192, 256],
    "batch": 4,
    "batch_unlabelled": 4,
    "rep_dim": 64,
}
ROWS = {
    "channels_last": (True, False),
    "contiguous": (False, False),
    "channels_last, compiled": (True, True),
    "contiguous, compiled": (False, True),
}


def make_step(
    method: Method, config: TrainConfig, device: torch.device, bf16: bool
) -> Callable[[], None]:
    """One step of the loop on random frames, the same ones every time."""
    generator = torch.Generator().manual_seed(0)
    height, width = config.imgsz

    def frames(number: int) -> tuple[Tensor, Tensor]:
        images = torch.randint(
            0, 256, (number, height, width, 3), dtype=torch.uint8, generator=generator
        )
        blocks = torch.randint(
            0, CLASSES, (number, height // 16, width // 16), dtype=torch.uint8, generator=generator
        )
        return images.to(device), blocks.repeat_interleave(16, 1).repeat_interleave(16, 2).to(
            device
        )

    labelled, footage = frames(config.batch), frames(config.batch_unlabelled)
    optimizer = torch.optim.AdamW(method.student.parameters(), lr=1e-4, foreach=True)

    def step() -> None:
        labelled_batch, unlabelled_batch = (
            Batch(*weak_augment(*raw, config.scale)) for raw in (labelled, footage)
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            result: StepResult = method(labelled_batch, unlabelled_batch, PROGRESS)
        torch.autograd.backward(result.loss)
        norm = clip_gradients(list(method.student.parameters()))
        assert bool(torch.isfinite(norm))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        method.after_step(1000)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return step


def variant(method: Method, *, channels_last: bool, compiled: bool) -> Method:
    """A copy in the memory format, its networks compiled."""
    method = copy.deepcopy(method)
    if channels_last:
        method.to(memory_format=torch.channels_last)
    else:  # the loop's own `normalize` would make the images channels_last
        mean, std = method.mean, method.std
        method.normalize = lambda images: (images - mean) / std  # type: ignore[method-assign]
    if compiled:
        method.student.compile(dynamic=False)
        method.teacher.compile(dynamic=False)
    return method


def cpp_compiler() -> str | None:
    """Path of the compiler that torch's inductor would call on a CPU, or None."""
    return next(
        (
            path
            for name in (os.environ.get("CXX", "g++"), "clang++")
            if (path := shutil.which(name))
        ),
        None,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--warmup", type=int, default=3, help="steps of every row before the clock starts"
    )
    parser.add_argument("--precision", choices=("auto", "32", "bf16"), default="auto")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    given = parser.parse_args()
    cuda = torch.cuda.is_available() if given.device == "auto" else given.device == "cuda"
    device = torch.device("cuda" if cuda else "cpu")
    if not cuda:
        keep_freed_memory()
    able = torch.cuda.is_bf16_supported() if cuda else cpu_has_bf16()
    bf16 = able if given.precision == "auto" else given.precision == "bf16"
    config = validate_config(TrainConfig, PRESET, "the preset")
    torch.manual_seed(0)

    def network() -> Network:
        return build_network(config.arch, config.encoder, CLASSES, config.weights, config.rep_dim)

    method = (
        METHODS[config.method](MethodContext(network(), torch.ones(CLASSES), config, network))
        .to(device)
        .train()
    )

    compiler = cpp_compiler()
    report: dict[str, object] = {
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "precision": "bf16" if bf16 else "32",
        "threads": torch.get_num_threads(),
        "rounds": given.rounds,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "load": [round(value, 1) for value in os.getloadavg()],
    }
    print(", ".join(f"{key} {value}" for key, value in report.items()))
    if not cuda and compiler is None:
        print(
            "there is no C++ compiler (g++, clang++, or what CXX names), "
            "so nothing can be compiled; install g++"
        )
    steps: dict[str, Callable[[], None]] = {}
    ready: dict[str, float] = {}
    for name, (channels_last, compiled) in ROWS.items():
        if compiled and not cuda and compiler is None:
            continue
        own_method = variant(method, channels_last=channels_last, compiled=compiled)
        steps[name] = make_step(own_method, config, device, bf16)
        began = time.perf_counter()
        for _ in range(given.warmup):
            steps[name]()
        ready[name] = time.perf_counter() - began
        print(f"{name} is ready after {ready[name]:.1f} s", file=sys.stderr)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    for number in range(given.rounds):
        random.shuffle(order)
        for name in order:
            torch.manual_seed(number)  # the same augmentation for all
            began, used = time.perf_counter(), time.process_time()
            steps[name]()
            seconds[name].append(time.perf_counter() - began)
            cpu_seconds[name].append(time.process_time() - used)

    first_row = next(iter(steps))
    first_times, first_cpu_times = seconds[first_row], cpu_seconds[first_row]
    print(
        f"{'':24} {'ms a step':>10} {'spread':>12} {'of first':>9} "
        f"{'CPU ms':>7} {'of first':>9} {'ready after':>12}"
    )
    for name, times in seconds.items():
        median, cpu = statistics.median(times), statistics.median(cpu_seconds[name])
        of_first = statistics.median(own / first for own, first in zip(times, first_times))
        cpu_of_first = statistics.median(
            own / first for own, first in zip(cpu_seconds[name], first_cpu_times)
        )
        spread = f"{1000 * min(times):.0f}..{1000 * max(times):.0f}"
        print(
            f"{name:24} {1000 * median:10.1f} {spread:>12} {of_first:9.3f} "
            f"{1000 * cpu:7.1f} {cpu_of_first:9.3f} {ready[name]:10.1f} s"
        )
        report[name] = {
            "seconds": round(median, 4),
            "of_first": round(of_first, 4),
            "cpu_seconds": round(cpu, 4),
            "cpu_of_first": round(cpu_of_first, 4),
            "ready": round(ready[name], 1),
        }
    report["load_after"] = [round(value, 1) for value in os.getloadavg()]
    print(json.dumps(report))


if __name__ == "__main__":
    main()
