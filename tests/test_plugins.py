"""What each plug-in does to labelled frames, beliefs, weights and snapshots."""

from __future__ import annotations

from typing import Any

import torch

from edgeseg.methods import METHODS
from edgeseg.methods.plugins.ael import AEL
from edgeseg.methods.plugins.augseg import AugSeg, certainty
from edgeseg.methods.plugins.fpl import FPL
from edgeseg.methods.plugins.prevmatch import SNAPSHOTS, PrevMatch
from edgeseg.methods.select import everything
from edgeseg.methods.views import Target, believed, by_peer, insert
from tests.methodkit import batch, kit

CLASSES = 4
PIXELS = torch.tensor([900.0, 50.0, 40.0, 10.0])


def target(sure: float = 0.0) -> Target:
    """Four frames; `sure` scales the logits of their true classes."""
    frames = batch(4, CLASSES, seed=1)
    logits = sure * torch.nn.functional.one_hot(frames.masks, CLASSES).movedim(-1, 1).float()
    return believed(frames, logits)


def ael(**changes: Any) -> AEL:  # Any: configuration values
    plugin = AEL(kit(CLASSES, PIXELS, **changes))
    plugin.bank.value.copy_(torch.tensor([0.9, 0.8, 0.7, 0.1]))
    return plugin


def test_truth_put_into_a_view_is_certain_and_unlabelled_pixels_of_it_are_not_believed() -> None:
    labelled, view = batch(2, CLASSES), target()
    labelled.masks[0, :10] = 255
    region = torch.zeros_like(view.valid)
    region[:, :20] = True
    peer = Target(view.images, view.probability, view.valid, (view.probability,))
    found = insert(peer, labelled, torch.tensor([0, 1, 0, 1]), region)
    assert torch.equal(found.images[1][:, :20], labelled.images[1][:, :20])
    assert torch.equal(found.images[:, :, 20:], view.images[:, :, 20:])
    assert torch.equal(found.label[0, 10:20], labelled.masks[0, 10:20]) and not found.valid[0, :10].any()
    assert (found.confidence[1, :20] == 1).all() and torch.equal(by_peer(found).probability, found.probability)


def test_ael_pastes_rare_classes_with_image_and_mask_together_and_never_common_ones() -> None:
    torch.manual_seed(0)
    frames = batch(4, CLASSES)
    pasted = ael(ael={"copy_paste": 1.0}).prepare(frames)
    changed = pasted.masks != frames.masks
    assert changed.any() and (pasted.masks[changed] != 0).all()
    donor = frames.images.roll(-1, 0)
    moved = (pasted.images != frames.images).any(1)
    assert torch.equal(pasted.images.movedim(1, -1)[moved], donor.movedim(1, -1)[moved])
    same = ael(ael={"copy_paste": 0.0}).prepare(frames)
    assert torch.equal(same.masks, frames.masks) and torch.equal(same.images, frames.images)


def test_ael_keeps_more_of_bad_classes_and_weighs_by_squared_confidence() -> None:
    torch.manual_seed(0)
    view = target(sure=3.0)
    selected = ael().weigh(view, everything(view, 0.5))
    kept = [(selected.weight[view.label == name] > 0).float().mean() for name in range(CLASSES)]
    assert kept[3] == 1 and 0.05 < kept[0] < 0.2
    weights = selected.weight[selected.weight > 0]
    torch.testing.assert_close(weights, view.confidence[selected.weight > 0] ** 2)
    torch.testing.assert_close(selected.divisor, weights.sum())


def test_ael_boxes_the_class_it_has_drawn() -> None:
    plugin, view = ael(cutmix=1.0), target(sure=9.0)
    plugin.bank.value.copy_(torch.tensor([1.0, 1.0, 1.0, 0.0]))
    hits = []
    for seed in range(8):
        torch.manual_seed(seed)
        region = plugin.region(view)
        assert region is not None and 0.3 < region.float().mean() < 0.7
        hits.append(((view.label.roll(-1, 0) == 3) & region).flatten(1).any(1).float().mean())
    assert sum(hits) / len(hits) > 0.6  # drawn with softmax(1 - g), so not always


def test_augseg_puts_truth_into_uncertain_frames_only() -> None:
    torch.manual_seed(0)
    labelled = batch(4, CLASSES)
    flat, certain = target(), target(sure=60.0)
    assert certainty(flat).max() < 0.01 and certainty(certain).min() > 0.99
    plugin = AugSeg(kit(CLASSES))
    assert ((plugin.inject(flat, labelled).confidence == 1).flatten(1).any(1)).all()
    assert torch.equal(plugin.inject(certain, labelled).images, certain.images)


def test_fpl_has_the_size_of_the_cross_entropy_it_replaces_and_another_gradient() -> None:
    view = target(sure=1.0)
    logits = torch.randn(4, CLASSES, 64, 64, requires_grad=True)
    loss = FPL(kit(CLASSES)).pixel_loss(logits, view)
    plain = torch.nn.functional.cross_entropy(logits, view.label, reduction="none")
    assert loss is not None
    torch.testing.assert_close(loss.sum(), plain.sum())
    (one,) = torch.autograd.grad(loss.sum(), logits, retain_graph=True)
    (other,) = torch.autograd.grad(plain.sum(), logits)
    assert not torch.allclose(one, other, atol=1e-3)


def test_prevmatch_keeps_the_last_snapshots_of_the_teacher_and_has_none_in_the_warm_up() -> None:
    settings: dict[str, Any] = {"method": "cutmix_mt", "plugins": ["prevmatch"], "steps": 40, "warmup": 0.5}
    method = METHODS["cutmix_mt"](kit(CLASSES, **settings)).train()
    (plugin,) = method.plugins  # type: ignore[misc]
    assert isinstance(plugin, PrevMatch)
    marks = []
    for step in range(40):
        with torch.no_grad():
            for parameter in method.teacher.classifier.parameters():
                parameter.fill_(float(step))
        plugin.after_step(method, step)
        if step == 19:
            assert plugin._taken(20) == 0
    for snapshot in plugin.snapshots:
        marks.append(float(next(snapshot.classifier.parameters()).flatten()[0]))  # type: ignore[union-attr]
    taken = [step for step in range(40) if plugin._taken(step + 1) > plugin._taken(step)]
    assert sorted(marks) == taken[-SNAPSHOTS:] and taken[0] >= 20


def test_a_plugin_s_labelled_frames_are_what_is_supervised() -> None:
    seen: list[torch.Tensor] = []
    method = METHODS["ael"](kit(CLASSES, PIXELS, method="ael", ael={"copy_paste": 1.0})).train()
    (plugin,) = method.plugins  # type: ignore[misc]
    inner = plugin.observe
    plugin.observe = lambda logits, masks: (seen.append(masks), inner(logits, masks))  # type: ignore[func-returns-value]
    torch.manual_seed(0)
    frames = batch(4, CLASSES)
    method(frames, batch(4, CLASSES, labelled=False), 0.9)
    assert len(seen) == 1 and not torch.equal(seen[0], frames.masks)
