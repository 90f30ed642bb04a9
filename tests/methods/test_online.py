"""What is particular to single online methods: weights of losses, and when teachers move."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edgeseg.methods import METHODS
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.views import pseudo_target
from edgeseg.methods.online.psmt import PSMT
from edgeseg.methods.plugins.fpl import FPL
from tests.helpers.methods import batch, config, method_context


def psmt(steps: int, warmup: float) -> PSMT:
    torch.manual_seed(0)
    context = method_context(3, method="psmt", steps=steps, warmup=warmup, ema=0.99)
    method = METHODS["psmt"](context)
    assert isinstance(method, PSMT)
    return method


def mark(method: PSMT, value: float) -> None:
    """Give the student's classifier this weight everywhere."""
    with torch.no_grad():
        for parameter in method.student.classifier.parameters():
            parameter.fill_(value)


def marks(method: PSMT) -> list[float]:
    """The classifiers' weight of both teachers."""
    return [float(next(t.classifier.parameters()).flatten()[0]) for t in method._teachers()]


@pytest.mark.parametrize("warmup", [0.0, 0.5])
def test_both_teachers_of_psmt_forget_their_first_weights_at_once(warmup: float) -> None:
    """By the run's steps the second one kept 11 % of them after 50 steps."""
    method = psmt(200, warmup)
    with torch.no_grad():
        for teacher in method._teachers():
            for parameter in teacher.classifier.parameters():
                parameter.fill_(1e6)
    mark(method, 1.0)
    for step in range(2):
        method.after_step(step)
    assert marks(method) == pytest.approx([1.0, 1.0])


def test_a_teacher_of_psmt_is_the_plain_mean_of_its_first_updates() -> None:
    method = psmt(200, 0.5)
    for step in range(20):
        mark(method, float(step))
        method.after_step(step)
    even, odd = sum(range(0, 20, 2)) / 10, sum(range(1, 20, 2)) / 10
    assert marks(method) == pytest.approx([even, odd])


def test_the_teachers_of_psmt_move_in_turns_after_the_warm_up() -> None:
    method = psmt(80, 0.5)  # a turn is 4 steps
    moved = []
    for step in range(80):
        mark(method, float(step))
        before = marks(method)
        method.after_step(step)
        moved.append([one != other for one, other in zip(before, marks(method), strict=True)])
    assert moved[2:40] == [[step % 2 == 0, step % 2 == 1] for step in range(2, 40)]
    assert moved[40:] == [[step // 4 % 2 == 0, step // 4 % 2 == 1] for step in range(40, 80)]


@pytest.mark.parametrize("classes", [2, 4, 21])
def test_mean_teacher_weighs_the_sum_over_classes_alike_for_any_number(classes: int) -> None:
    """100 times the mean over 21 classes in TorchSemiSeg."""
    torch.manual_seed(0)
    method = METHODS["mean_teacher"](method_context(classes, method="mean_teacher"))
    assert isinstance(method, OnlineMethod)
    target = pseudo_target(batch(1, classes, size=8, labelled=False), torch.zeros(1, classes, 8, 8))
    logits = torch.randn(1, classes, 8, 8)
    found = method.pixel_loss(logits, target, torch.ones(1, 8, 8))
    expected = 100 / 21 * (logits.softmax(1) - 1 / classes).square().sum(1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("method", "plugins", "own"),
    [
        ("fpl_ael", (), "concave"),
        ("ael", ("fpl",), "concave"),
        ("cutmix_mt", ("ael", "fpl"), "concave"),
        ("fpl_cps", (), "none"),
        ("fpl_cps_cutmix", (), "none"),
        ("cutmix_mt", ("fpl",), "none"),
    ],
)
def test_fpl_weighs_pixels_by_the_curve_of_its_host(
    method: str, plugins: tuple[str, ...], own: str
) -> None:
    torch.manual_seed(0)
    target = pseudo_target(batch(2, 4, size=8, labelled=False), torch.randn(2, 4, 8, 8))
    logits, weight = torch.randn(2, 4, 8, 8), torch.ones(2, 8, 8)
    parts = method_context(4)

    def loss(**changes: str) -> torch.Tensor:
        own = config(method=method, plugins=plugins, fpl=changes)
        found = FPL(replace(parts, config=own)).pixel_loss(logits, target, weight)
        assert found is not None
        return found

    losses = {curve: loss(weight=curve) for curve in ("none", "linear", "concave")}
    assert [curve for curve, value in losses.items() if torch.equal(value, loss())] == [own]
