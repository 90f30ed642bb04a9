"""The EMA teacher: its weights and its batch-norm statistics."""

from __future__ import annotations

import copy

import torch

from edgeseg.methods import METHODS, Batch
from tests.helpers.methods import method_context


def test_teacher_is_the_warm_average_of_the_weights() -> None:
    method = METHODS["suponly"](method_context(3, ema=0.99))
    with torch.no_grad():
        for value, step, expected in (
            (1.0, 0, 1.0),
            (2.0, 999, 1.01),
        ):  # keep 0: the student itself; then keep 0.99
            for tensor in method.student.parameters():
                tensor.fill_(value)
            method.after_step(step)
            for tensor in method.teacher.parameters():
                assert bool(
                    torch.isclose(tensor, torch.full_like(tensor, expected), atol=1e-5).all()
                )


def test_teacher_takes_its_batch_norm_statistics_from_its_own_clean_passes() -> None:
    torch.manual_seed(0)
    method = METHODS["suponly"](method_context(3, ema=0.9))
    images = torch.rand(4, 3, 64, 64)
    for step in range(3):
        with torch.no_grad():
            for tensor in method.student.parameters():
                tensor.add_(0.01 * torch.randn_like(tensor))
        method.after_step(step)
    norms = [m for m in method.teacher.modules() if isinstance(m, torch.nn.BatchNorm2d)]

    def error() -> float:
        """How far the teacher is from what the statistics of this very batch would give, in
        standard deviations.
        """
        with torch.no_grad():
            own = method.teacher(method.normalize(images)).logits
            other = copy.deepcopy(method.teacher)
            for norm in (m for m in other.modules() if isinstance(m, torch.nn.BatchNorm2d)):
                norm.train()
            wanted = other(method.normalize(images)).logits
        return float((own - wanted).abs().mean() / wanted.std())

    before = error()
    for _ in range(120):
        method.teacher_forward(images)
    assert norms and error() < 0.05 < 0.3 < before


def test_one_frame_at_a_time_leaves_the_statistics_finite() -> None:
    method = METHODS["suponly"](method_context(3))
    for _ in range(3):
        method.teacher_forward(
            torch.rand(1, 3, 64, 64)
        )  # one pixel is left where the decoder pools over the image
    assert all(bool(torch.isfinite(buffer).all()) for buffer in method.teacher.buffers())


def test_with_ema_0_the_student_itself_is_evaluated() -> None:
    torch.manual_seed(0)
    method = METHODS["suponly"](method_context(3, ema=0.0)).train()
    optimizer = torch.optim.SGD(method.student.parameters(), 0.01)
    images, masks = torch.rand(4, 3, 64, 64), torch.randint(0, 3, (4, 64, 64))
    batch = Batch(images, masks, torch.ones(4, 64, 64, dtype=torch.bool))
    for step in range(3):
        optimizer.zero_grad()
        method(batch, None, 0.5).loss.backward()
        optimizer.step()
        method.after_step(step)
    method.eval()
    with torch.no_grad():
        ours, theirs = (
            network(method.normalize(images)).logits for network in (method.teacher, method.student)
        )
    assert torch.equal(ours, theirs)


def test_without_class_balance_all_classes_weigh_alike() -> None:
    context = method_context(3, torch.tensor([900.0, 99.0, 1.0]), class_balance=0.0)
    assert torch.equal(METHODS["suponly"](context).class_weight, torch.ones(3))
