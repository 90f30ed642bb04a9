"""Measured memory of a step: two sizes tell a third, and measuring leaves no trace."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edgeseg.methods import METHODS, Batch, Method, StepResult
from edgeseg.training.memory.measurement import CPU_OVERHEAD, measure_step
from tests.helpers.methods import method_context

CPU = torch.device("cpu")


def method_of(name: str, encoder: str) -> Method:
    torch.manual_seed(0)
    return METHODS[name](method_context(3, method=name, encoder=encoder)).train()


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
    """Counts the bytes of all tensors alive that were made within; `peak` is the maximum."""

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
