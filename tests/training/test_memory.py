"""Splitting batches by memory: what is planned from two sizes holds for a third, and what cannot
fit is refused.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edgeseg.errors import ConfigError, TrainError
from edgeseg.methods import METHODS, Batch, Method, StepResult
from edgeseg.training.memory import (
    CPU_OVERHEAD,
    SAFETY_FACTOR,
    AccumulationPlan,
    measure_step,
    parse_bytes,
    plan_accumulation,
)
from tests.helpers.methods import kit

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6GB", 6_000_000_000),
        ("6 gb", 6_000_000_000),
        ("1.5g", 1_500_000_000),
        ("512MiB", 512 << 20),
        ("2Gi", 2 << 30),
        ("800kB", 800_000),
        (" 123 ", 123),
        ("123B", 123),
        ("0.5TB", 500_000_000_000),
    ],
)
def test_amounts_of_memory(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    "text", ["", "GB", "6XB", "-6GB", "6,5GB", "6 G B", "0GB", "i", "6i", "1e9", "six"]
)
def test_what_is_no_amount_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="write it like 6GB"):
        parse_bytes(text)


def line(start: int, slope: int, asked: list[int] | None = None) -> Callable[[int], int]:
    def measure(size: int) -> int:
        if asked is not None:
            asked.append(size)
        return start + slope * size

    return measure


@pytest.mark.parametrize(
    ("batch", "others", "room", "expected"),
    [
        (16, (), 16, AccumulationPlan(16, 1)),
        (16, (), 15, AccumulationPlan(8, 2)),
        (16, (), 5, AccumulationPlan(4, 4)),
        (16, (), 2, AccumulationPlan(2, 8)),
        (6, (), 5, AccumulationPlan(3, 2)),
        (7, (), 7, AccumulationPlan(7, 1)),
        (2, (), 2, AccumulationPlan(2, 1)),
        (8, (4,), 7, AccumulationPlan(4, 2)),
        (8, (4,), 3, AccumulationPlan(2, 4)),
        (8, (1,), 8, AccumulationPlan(8, 1)),  # one unlabelled frame cannot be split
    ],
)
def test_the_largest_part_that_fits_is_taken(
    batch: int, others: tuple[int, ...], room: int, expected: AccumulationPlan
) -> None:
    asked: list[int] = []
    budget = int((1000 + 100 * room) * SAFETY_FACTOR) + 1
    assert plan_accumulation(line(1000, 100, asked), batch, budget, others) == expected
    assert len(asked) <= 2 and all(batch % size == 0 for size in asked)


@pytest.mark.parametrize(
    ("batch", "others", "smallest"), [(16, (), 2), (7, (), 7), (8, (1,), 8), (2, (), 2)]
)
def test_a_part_that_never_fits_is_refused(
    batch: int, others: tuple[int, ...], smallest: int
) -> None:
    with pytest.raises(
        TrainError, match=rf"{smallest} frames, needs .* GB but max_memory is 0.00 GB; raise it"
    ):
        plan_accumulation(line(1000, 100), batch, 1000, others)


def test_a_device_that_runs_out_while_measuring_limits_the_plan() -> None:
    def measure(size: int) -> int:
        if size > 2:
            raise MemoryError
        return 1000

    assert plan_accumulation(measure, 8, 10**9) == AccumulationPlan(2, 4)
    with pytest.raises(TrainError, match="7 frames, is more than the device has"):
        plan_accumulation(measure, 7, 10**9)


def method_of(name: str, encoder: str) -> Method:
    torch.manual_seed(0)
    return METHODS[name](kit(3, method=name, encoder=encoder)).train()


def step_of(method: Method, size: int) -> Callable[[], Tensor]:
    def batch() -> Batch:
        everywhere = torch.ones(size, 64, 64, dtype=torch.bool)
        return Batch(torch.rand(size, 3, 64, 64), torch.randint(0, 3, (size, 64, 64)), everywhere)

    labelled, unlabelled = batch(), batch()

    def step() -> Tensor:
        result: StepResult = method(labelled, unlabelled, 0.9)
        return result.loss

    return step


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors alive that were made within; `peak` is the most there were."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:  # Any: torch's own signature
        known = {
            id(each.untyped_storage())
            for each in tree_leaves((args, kwargs))
            if isinstance(each, Tensor)
        }
        found = func(*args, **(kwargs or {}))
        for each in tree_leaves(found):
            if isinstance(each, Tensor) and id(each.untyped_storage()) not in known:
                storage = each.untyped_storage()
                known.add(id(storage))
                self.now += storage.nbytes()
                weakref.finalize(storage, self._freed, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return found

    def _freed(self, size: int) -> None:
        self.now -= size


@pytest.mark.parametrize(
    ("name", "encoder"), [("u2pl", "mobilenetv2_035"), ("suponly", "resnet18")]
)
def test_two_sizes_tell_a_third_and_the_real_peak(name: str, encoder: str) -> None:
    method = method_of(name, encoder)
    two, four, ten = (measure_step(step_of(method, size), CPU, method) for size in (2, 4, 10))
    assert two < four < ten
    assert two + (four - two) / 2 * 8 == pytest.approx(ten, rel=0.1)

    trained = [each for each in method.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    step = step_of(method, 10)
    torch.autograd.backward(step())
    optimizer.step()  # gradients and moments are there, as in the middle of a run
    held = sum(
        each.untyped_storage().nbytes() for each in (*method.parameters(), *method.buffers())
    )
    held += sum(each.nbytes for state in optimizer.state.values() for each in state.values())
    held += sum(each.grad.nbytes for each in trained if each.grad is not None)
    with Live() as live:
        torch.autograd.backward(step())
    assert live.peak + held == pytest.approx(ten, rel=0.1)


def test_measuring_leaves_no_trace() -> None:
    method = method_of("u2pl", "mobilenetv2_035")
    step = step_of(method, 2)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    chance = torch.get_rng_state()
    measure_step(step, CPU, method)
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())
    assert all(each.grad is None for each in method.parameters())
    assert torch.equal(chance, torch.get_rng_state())
    assert method.training and not method.teacher.training


def test_views_of_a_tensor_are_counted_once() -> None:
    layer = nn.Linear(256, 256, bias=False)
    images = torch.rand(64, 256, requires_grad=True)

    def step() -> Tensor:
        answer: Tensor = layer(images) * images.view(64, 256)
        return answer.sum() + (images[:32] * images[32:]).sum()

    parameters, activations = 256 * 256 * 4, 64 * 256 * 4
    # Weights, gradients and two moments; `images` and the layer's answer.
    assert measure_step(step, CPU, layer) == pytest.approx(
        4 * parameters + CPU_OVERHEAD * 2 * activations, abs=8
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_two_sizes_tell_a_third_on_a_gpu() -> None:
    method = method_of("suponly", "resnet18").cuda()
    where = torch.device("cuda", torch.cuda.current_device())

    def measure(size: int) -> int:
        batch = Batch(
            torch.rand(size, 3, 256, 256, device=where),
            torch.randint(0, 3, (size, 256, 256), device=where),
            torch.ones(size, 256, 256, dtype=torch.bool, device=where),
        )

        def step() -> Tensor:
            result: StepResult = method(batch, None, 0.9)
            return result.loss

        return measure_step(step, where, method)

    two, four, ten = map(measure, (2, 4, 10))
    assert two + (four - two) / 2 * 8 == pytest.approx(ten, rel=0.1)


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back so eagerly"
)
@pytest.mark.parametrize("kept", [True, False])
def test_memory_that_is_freed_is_taken_again_without_page_faults(kept: bool) -> None:
    program = f"""
import resource, torch
from edgeseg.training.memory import keep_freed_memory
if {kept}:
    keep_freed_memory()
def faults():
    for _ in range(10):
        torch.ones(8 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
faults()
print(-faults() + faults())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (int(done.stdout) < 100) == kept
