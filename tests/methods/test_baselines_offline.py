"""Baselines of the comparison: staged (DMT, DSBN), with a judging network (ECS, S4GAN, AdvSSL),
pretext task (S4L).
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgeseg.imaging.array_types import IGNORE
from edgeseg.methods import METHODS, Batch, Method, MethodContext
from edgeseg.methods.baselines.discriminator import call_frozen, true_class_map
from edgeseg.methods.baselines.dmt import Mutual, most_confident_labels
from edgeseg.methods.baselines.dsbn import DSBN
from edgeseg.methods.baselines.ecs import ECS, corrected_probability
from edgeseg.methods.baselines.s4gan import S4GAN
from edgeseg.methods.baselines.s4l import rotated_squares
from edgeseg.methods.framework.views import PseudoTarget
from edgeseg.models import build_network
from tests.helpers.methods import config

ONLINE = ("ecs", "s4gan", "advssl", "s4l")
ALL = (*ONLINE, "dmt", "dsbn")
COLORS = torch.tensor([[0.15, 0.35, 0.15], [0.8, 0.25, 0.25], [0.25, 0.25, 0.85]])


def make(name: str, classes: int = 3, share: float = 0.6, **changes: object) -> Method:
    """A method on small networks; of a staged one, that of its last stage."""

    def network() -> torch.nn.Module:
        return build_network("deeplabv3plus", "mobilenetv2_035", classes)

    settings, pixels = config(**changes), torch.ones(classes)
    context = MethodContext(network(), pixels, settings, network)  # type: ignore[arg-type]
    if name == "dmt":
        return Mutual(context, context.new_network(), share)
    return DSBN(context) if name == "dsbn" else METHODS[name](context)


def frames(number: int, seed: int = 0, labelled: bool = True, classes: int = 3) -> Batch:
    """Rectangles of up to two colors on a third; classes from 3 on are nowhere."""
    draw = np.random.default_rng(seed)
    masks = torch.zeros(number, 64, 64, dtype=torch.int64)
    for mask in masks:
        for name in range(1, min(classes, 3)):
            top, left = draw.integers(0, 32, 2)
            mask[top : top + 22, left : left + 22] = name
    images = (
        COLORS[masks].movedim(-1, 1)
        + torch.from_numpy(draw.normal(0, 0.05, (number, 3, 64, 64))).float()
    )
    everywhere = torch.ones(number, 64, 64, dtype=torch.bool)
    return Batch(
        images.clamp(0, 1), masks if labelled else torch.full_like(masks, IGNORE), everywhere
    )


def ignored(batch: Batch) -> Batch:
    return Batch(batch.images, torch.full_like(batch.masks, IGNORE), torch.zeros_like(batch.valid))


def footage(name: str, number: int, classes: int = 3) -> Batch:
    """Unlabelled frames, with pseudo-labels where the method is given them."""
    return frames(number, 1, labelled=name == "dsbn", classes=classes)


@pytest.mark.parametrize("name", ALL)
def test_gradients_reach_all_that_is_trained_and_nothing_else(name: str) -> None:
    torch.manual_seed(0)
    method = make(name).train()
    still = {
        key: value.clone() for key, value in method.named_parameters() if not value.requires_grad
    }
    assert any(key.startswith("teacher") for key in still)
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], 1e-3)
    for step in range(3):
        result = method(frames(2), footage(name, 2), 0.5 + 0.1 * step)
        assert bool(torch.isfinite(result.loss)) and not any(
            value.requires_grad for value in result.logs.values()
        )
        optimizer.zero_grad()
        result.loss.backward()
        for key, value in method.named_parameters():
            if value.requires_grad:
                assert value.grad is not None and bool(torch.isfinite(value.grad).all()), key
                assert key.endswith("bias") or bool((value.grad != 0).any()), key
            else:
                assert value.grad is None, key
        optimizer.step()
        method.after_step(step)
    for key, value in method.named_parameters():
        if key in still and not key.startswith("teacher"):
            assert torch.equal(value, still[key]), key
    assert not any(module.training for module in method.teacher.modules())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("classes", [2, 11])
def test_few_and_many_classes_one_frame_and_nothing_to_learn_from(name: str, classes: int) -> None:
    torch.manual_seed(0)
    method = make(name, classes).eval()  # batch norm cannot take statistics of one pixel
    labelled, unlabelled = frames(1, classes=classes), footage(name, 1, classes=classes)
    pairs = (
        (labelled, unlabelled),
        (labelled, ignored(unlabelled)),
        (ignored(labelled), ignored(unlabelled)),
    )
    for progress in (0.0, 0.9):
        for first, second in pairs:
            result = method(first, second, progress)
            assert bool(torch.isfinite(result.loss)) and result.loss.requires_grad
            method.zero_grad()
            result.loss.backward()
            gradients = [p.grad for p in method.parameters() if p.grad is not None]
            assert gradients and all(bool(torch.isfinite(g).all()) for g in gradients)


@pytest.mark.parametrize("name", ALL)
def test_a_batch_with_a_single_unlabelled_frame_trains(name: str) -> None:
    torch.manual_seed(0)
    method = make(name).train()
    assert bool(torch.isfinite(method(frames(2), footage(name, 1), 0.9).loss))


@pytest.mark.parametrize("name", ["dmt", "dsbn"])  # the others: tests/methods/test_methods.py
def test_four_frames_are_learned_by_heart(name: str) -> None:
    torch.manual_seed(0)
    method = make(name, warmup=0.0).train()
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], 5e-3)
    labelled, unlabelled = frames(4), footage(name, 4)
    steps, losses = 30, []
    for step in range(steps):
        result = method(labelled, unlabelled, step / steps)
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
        method.after_step(step)
        losses.append(float(result.logs["supervised"]))
    assert np.mean(losses[-3:]) < 0.4 * losses[0], losses


def test_dmt_labels_the_surest_share_of_every_class() -> None:
    torch.manual_seed(0)
    logits = 12 * torch.randn(2, 4, 40, 40)  # most confidences lie within a thousandth of 1
    logits[:, 3] = -100  # a class that is nowhere
    valid = torch.ones(2, 40, 40, dtype=torch.bool)
    valid[0, :10] = False
    target = PseudoTarget(torch.zeros(2, 3, 40, 40), logits.softmax(1), valid)
    for share in (0.2, 0.6):
        label = most_confident_labels(target, share)
        for name in range(3):
            mine, everyone = label == name, target.label == name
            assert abs(float(mine.sum() / everyone.sum()) - share) < 0.03
            assert target.confidence[mine].min() >= target.confidence[everyone & ~mine].max()
    assert torch.equal(most_confident_labels(target, 1.0), target.label)
    certain = PseudoTarget(target.images, (1e3 * logits).softmax(1), valid)
    assert bool(
        (most_confident_labels(certain, 0.2) != IGNORE).any()
    )  # all alike: none is left out for that


def test_dsbn_keeps_two_sets_of_weights_and_statistics_apart() -> None:
    torch.manual_seed(0)
    method = make("dsbn").train()
    assert isinstance(method, DSBN)
    own = {key: value.clone() for key, value in method.student.state_dict().items()}
    tensors = {key: value.data_ptr() for key, value in method.student.state_dict().items()}
    second = copy.deepcopy(method.second.state_dict())
    loss = method.forward_with_second_norms(frames(2).images).logits.square().mean()
    loss.backward()  # type: ignore[no-untyped-call]  # as torch types it
    assert {key: value.data_ptr() for key, value in method.student.state_dict().items()} == tensors
    assert all(torch.equal(value, own[key]) for key, value in method.student.state_dict().items())
    changed = [
        key
        for key, value in method.second.state_dict().items()
        if not torch.equal(value, second[key])
    ]
    assert len([key for key in changed if key.endswith("running_mean")]) == len(method.second)
    norms = [module for module in method.student.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(norm.weight.grad is None for norm in norms)
    assert all(parameter.grad is not None for parameter in method.second.parameters())
    second = copy.deepcopy(method.second.state_dict())
    method.student(method.normalize(frames(2).images))
    assert all(torch.equal(value, second[key]) for key, value in method.second.state_dict().items())


def test_a_frozen_judge_passes_gradients_on_and_keeps_none() -> None:
    judge, image = nn.Conv2d(2, 1, 3), torch.rand(1, 2, 8, 8, requires_grad=True)
    found = call_frozen(judge, image)
    torch.testing.assert_close(found, judge(image))
    loss = found.sum()
    loss.backward()  # type: ignore[no-untyped-call]  # as torch types it
    assert image.grad is not None and all(
        p.grad is None and p.requires_grad for p in judge.parameters()
    )


def test_true_maps_are_one_hot_and_have_no_holes() -> None:
    probability = torch.full((1, 3, 1, 2), 1 / 3)
    found = true_class_map(torch.tensor([[[2, IGNORE]]]), probability)
    assert found[0, :, 0, 0].tolist() == [0, 0, 1] and torch.equal(
        found[..., 1], probability[..., 1]
    )


def test_ecs_corrects_as_far_as_the_verdict_goes() -> None:
    probability = torch.tensor([0.7, 0.2, 0.1]).view(1, 3, 1, 1)

    def judged(*chances: float) -> Tensor:
        return corrected_probability(
            probability, torch.tensor(chances).log().view(1, 4, 1, 1)
        ).flatten()

    torch.testing.assert_close(judged(0, 0, 0, 1), probability.flatten())
    torch.testing.assert_close(judged(0, 1, 0, 0), torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(judged(0, 0.5, 0, 0.5), torch.tensor([0.35, 0.6, 0.05]))


def test_the_corrector_finds_the_errors_of_the_student() -> None:
    torch.manual_seed(0)
    method = make("ecs").eval()
    assert isinstance(method, ECS)
    optimizer = torch.optim.AdamW(method.corrector.parameters(), 5e-3)
    losses = []
    for _ in range(25):
        result = method(frames(4), footage("ecs", 4), 0.0)
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
        losses.append(float(result.logs["corrector"]))
    assert losses[-1] < 0.6 * losses[0]


def test_s4gan_learns_only_from_frames_and_classes_that_are_believed() -> None:
    torch.manual_seed(0)
    method = make("s4gan", warmup=0.0, ramp=0.0).eval()
    assert isinstance(method, S4GAN)
    kept = {}
    with torch.no_grad():
        method.verdict.weight.zero_()
        method.presence.weight.zero_()
        for trust, present in ((5.0, 5.0), (-5.0, 5.0), (5.0, -5.0)):
            method.verdict.bias.fill_(trust)
            method.presence.bias.fill_(present)
            kept[trust, present] = float(method(frames(2), footage("s4gan", 2), 0.9).logs["kept"])
    assert kept == {(5.0, 5.0): 1.0, (-5.0, 5.0): 0.0, (5.0, -5.0): 0.0}


def test_s4l_shows_squares_in_all_rotations() -> None:
    images = torch.rand(2, 3, 64, 128)
    found = rotated_squares(images)
    assert found.shape == (8, 3, 32, 32)
    for turns in range(4):
        assert torch.equal(torch.rot90(found[:2], turns, (2, 3)), found[2 * turns : 2 * turns + 2])
    assert rotated_squares(images[:, :, :32, :32]).shape == (8, 3, 32, 32)
