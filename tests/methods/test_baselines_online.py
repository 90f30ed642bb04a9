"""The online baselines' own properties; test_methods.py asks what every method must do."""

from __future__ import annotations

import pytest
import torch

from edgeseg.config import PLUGIN_NAMES
from edgeseg.config.method_catalogue import CATALOGUE
from edgeseg.methods import METHODS, Batch, Method, StepResult
from tests.helpers.methods import config, method_context

NAMES = ("cct", "gct", "cac", "pseudoseg", "pc2seg")
COLORS = torch.tensor([[0.2, 0.4, 0.2], [0.8, 0.2, 0.2], [0.2, 0.2, 0.9], [0.9, 0.9, 0.1]])


def make(name: str, classes: int = 3, **changes: object) -> Method:
    """The method with its warm-up over at once."""
    torch.manual_seed(0)
    settings = {"method": name, "warmup": 0.0, "ramp": 0.0} | changes
    return METHODS[name](method_context(classes, None, **settings)).train()


def pictures(number: int, classes: int = 3) -> Batch:
    """Noisy frames of colored rectangles, and what they show."""
    draw = torch.Generator().manual_seed(number)
    masks = torch.zeros(number, 64, 64, dtype=torch.int64)
    for frame in masks:
        for name in range(1, classes):
            top, left = torch.randint(0, 36, (2,), generator=draw).tolist()
            frame[top : top + 28, left : left + 28] = name
    colors = COLORS[masks % len(COLORS)].movedim(-1, 1)
    images = (colors + 0.05 * torch.randn(colors.shape, generator=draw)).clamp(0, 1)
    return Batch(images, masks, torch.ones_like(masks, dtype=torch.bool))


def footage(number: int, classes: int = 3) -> Batch:
    """Frames without labels, with some padding on the left."""
    images, masks, valid = pictures(number + 10, classes)
    valid = valid.clone()
    valid[:, :, :5] = False
    return Batch(images[:number], torch.full_like(masks[:number], 255), valid[:number])


def ignored(batch: Batch) -> Batch:
    """The same frames, all of them padding."""
    return Batch(batch.images, torch.full_like(batch.masks, 255), torch.zeros_like(batch.valid))


def step(method: Method, labelled: Batch, unlabelled: Batch, progress: float = 0.5) -> StepResult:
    """One step whose figures are finite, with its gradients, which are finite too."""
    result: StepResult = method(labelled, unlabelled, progress)
    assert bool(torch.isfinite(result.loss)) and result.loss.ndim == 0
    assert all(
        bool(torch.isfinite(value).all()) and not value.requires_grad
        for value in result.logs.values()
    )
    torch.autograd.backward(result.loss)
    slopes = [parameter.grad for parameter in method.parameters() if parameter.grad is not None]
    assert slopes and all(bool(torch.isfinite(slope).all()) for slope in slopes)
    return result


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_all_that_learns_and_nothing_else(name: str) -> None:
    # the encoder of the other tests begins with branches that pass nothing on
    method = make(name, confidence=0.0, encoder="mobilenetv2_035")
    for _ in range(2):
        step(method, pictures(2), footage(3))
    unused = () if name == "pc2seg" else ("student.rep_head.", "second.rep_head.")
    for path, parameter in method.named_parameters():
        if path.startswith("teacher."):
            assert not parameter.requires_grad and parameter.grad is None, path
        elif not path.startswith(unused):
            assert parameter.requires_grad and parameter.grad is not None, path
    silent = [
        p
        for p, v in method.named_parameters()
        if v.grad is not None and not bool(v.grad.abs().sum() > 0)
    ]
    assert not silent


@pytest.mark.parametrize("name", NAMES)
def test_the_warm_up_is_supervised_only(name: str) -> None:
    torch.manual_seed(0)
    method = METHODS[name](method_context(3, method=name, warmup=0.5)).train()
    state = {key: value.clone() for key, value in method.state_dict().items()}
    losses = []
    for unlabelled in (footage(2), ignored(footage(2))):
        method.load_state_dict(state)
        torch.manual_seed(1)
        losses.append(step(method, pictures(2), unlabelled, 0.25).loss)
    assert torch.equal(*losses)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", NAMES)
def test_odd_batches_give_finite_losses(name: str, classes: int) -> None:
    method = make(name, classes)
    plain, one = pictures(2, classes), footage(1, classes)
    single = plain._replace(masks=torch.full_like(plain.masks, classes - 1))
    for labelled in (plain, single, ignored(plain)):
        for unlabelled in (one, ignored(one), footage(2, classes)):
            step(method, labelled, unlabelled)
    flat = one._replace(images=torch.full_like(one.images, 0.5))
    step(method, plain, flat)
    nothing = step(method, ignored(plain), ignored(footage(2, classes)))
    assert float(nothing.loss.detach()) == pytest.approx(0, abs=1e-6)
    assert all(bool(torch.isfinite(value).all()) for value in method.state_dict().values())


@pytest.mark.parametrize("plugin", PLUGIN_NAMES)
@pytest.mark.parametrize("name", [name for name in NAMES if CATALOGUE[name].plugins])
def test_plug_ins_work_where_the_catalogue_says_so(name: str, plugin: str) -> None:
    method = make(name, plugins=[plugin], steps=8)
    plain = make(name)
    changed = False
    for number in range(8):
        losses = []
        for each in (method, plain):
            torch.manual_seed(number)
            losses.append(step(each, pictures(2), footage(2), number / 8).loss)
            each.after_step(number)
        changed |= not torch.equal(*losses)
    assert changed


def test_gct_trains_its_detector_on_detached_predictions_and_freezes_it_to_judge() -> None:
    from edgeseg.methods.baselines.gct import GCT

    method = make("gct")
    assert isinstance(method, GCT)
    images = torch.rand(2, 3, 16, 16)
    logits = torch.randn(2, 2, 3, 16, 16, requires_grad=True)
    valid, masks = torch.ones(2, 64, 64, dtype=torch.bool), torch.randint(0, 3, (2, 64, 64))
    torch.autograd.backward(method._detection_loss(images, logits, masks))
    slopes = [parameter.grad for parameter in method.detector.parameters()]
    assert logits.grad is None and all(slope is not None for slope in slopes)
    method.zero_grad()
    with torch.no_grad():
        list(method.detector.parameters())[-1].fill_(
            3.0
        )  # everything is bad: only the correction is left
    consistency, correction = method._constraints(images, logits, valid)
    assert float(consistency.detach()) == 0 and float(correction.detach()) > 0.5
    torch.autograd.backward(consistency + correction)
    assert logits.grad is not None and float(logits.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in method.detector.parameters())


def test_gct_lets_the_worse_network_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgeseg.methods.baselines import gct as module

    method = make("gct")
    assert isinstance(method, module.GCT)
    flaw = torch.cat(
        [torch.full((1, 8, 8), 0.5), torch.full((1, 8, 8), 0.1)]
    )  # of the first network, of the second
    monkeypatch.setattr(module, "functional_call", lambda *_: flaw)
    logits = torch.randn(2, 1, 3, 8, 8, requires_grad=True)
    consistency, _ = method._constraints(
        torch.rand(1, 3, 8, 8), logits, torch.ones(1, 64, 64, dtype=torch.bool)
    )
    torch.autograd.backward(consistency)
    assert logits.grad is not None
    assert float(logits.grad[0].abs().sum()) > 0 and float(logits.grad[1].abs().sum()) == 0


def test_cac_finds_the_same_place_in_both_windows() -> None:
    from edgeseg.methods.baselines.cac import WINDOW, cut_window, sample

    y, x = torch.meshgrid(
        *(torch.linspace(-1 + 1 / 64, 1 - 1 / 64, 64) for _ in range(2)), indexing="ij"
    )
    where = torch.stack([x, y])[None].repeat(
        3, 1, 1, 1
    )  # every pixel says where in the frame it is
    centers = (1 - WINDOW) * (2 * torch.rand(2, 3, 2) - 1)
    windows = [cut_window(where, center) for center in centers]
    low, high = centers.amax(0) - WINDOW, centers.amin(0) + WINDOW
    assert bool((high > low).all())
    place = low[:, None] + (high - low)[:, None] * torch.rand(3, 50, 2)
    for picture, center in zip(windows, centers):
        inside = (place - center[:, None]) / WINDOW
        assert float(inside.abs().max()) <= 1 + 1e-5
        torch.testing.assert_close(sample(picture, inside), place.flatten(0, 1), atol=0.03, rtol=0)


def test_pseudoseg_fuses_two_scales_and_classifies_frames() -> None:
    from edgeseg.losses.baselines.image_level import presence_loss
    from edgeseg.methods.baselines.pseudoseg import fuse_logits

    one, other = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(
        fuse_logits(one, other).softmax(1), fuse_logits(100 * one, 100 * other).softmax(1)
    )
    torch.testing.assert_close(
        fuse_logits(one, other).softmax(1), fuse_logits(one + 7, other - 3).softmax(1)
    )
    assert torch.equal(fuse_logits(one, one).argmax(1), one.argmax(1))
    assert bool((fuse_logits(one, one).softmax(1).amax(1) > one.new_tensor(1 / 3)).all())
    assert bool(torch.isfinite(fuse_logits(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4))).all())
    masks = torch.full((2, 8, 8), 255)
    masks[0, :4] = 1
    tags = torch.tensor(
        [[-20.0, 20.0, -20.0], [20.0, 20.0, 20.0]]
    )  # the second frame has no labels to be wrong about
    assert float(presence_loss(tags, masks)) < 1e-6 < 10 < float(presence_loss(-tags, masks))


def test_pc2seg_keeps_negatives_of_other_classes_only() -> None:
    from edgeseg.methods.baselines.pc2seg import PC2Seg

    method = make("pc2seg", confidence=0.0)
    assert isinstance(method, PC2Seg)
    before = method.bank.size.clone()
    step(method, pictures(2), footage(2))
    assert bool((before == 0).all()) and int(method.bank.size.sum()) > 0
    lone = make("pc2seg", confidence=0.0)
    for network in (lone.student, lone.teacher):
        with torch.no_grad():
            network.classifier.weight.zero_()
            assert network.classifier.bias is not None
            network.classifier.bias.copy_(
                torch.tensor([9.0, 0.0, 0.0])
            )  # all is one class: nothing to push from
    assert float(step(lone, pictures(2), footage(2)).logs["extra"]) == 0


def test_another_name_of_cac() -> None:
    assert config(method="dcc").method == "cac"
