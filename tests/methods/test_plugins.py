"""What each plug-in does to labelled frames, beliefs, weights and snapshots."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from edgeseg.imaging.array_types import IGNORE
from edgeseg.methods import METHODS
from edgeseg.methods.framework.pixel_selection import all_pixels
from edgeseg.methods.framework.plugin import StepContext
from edgeseg.methods.framework.views import (
    PseudoTarget,
    insert_labelled,
    peer_target,
    pseudo_target,
)
from edgeseg.methods.online import ucc
from edgeseg.methods.online.ucc import CrossSetPaste
from edgeseg.methods.plugins import corrmatch, prevmatch
from edgeseg.methods.plugins.ael import AEL, draw_partners
from edgeseg.methods.plugins.augseg import AugSeg, mean_certainty
from edgeseg.methods.plugins.corrmatch import CorrMatch, _correlated_maps
from edgeseg.methods.plugins.dacs import DACS
from edgeseg.methods.plugins.fpl import FPL
from edgeseg.methods.plugins.prevmatch import SNAPSHOTS, PrevMatch
from edgeseg.models import Output
from tests.helpers.methods import batch, method_context

CLASSES = 4
PIXELS = torch.tensor([900.0, 50.0, 40.0, 10.0])


def target(sure: float | torch.Tensor = 0.0) -> PseudoTarget:
    """Four frames; `sure` scales the logits of their true classes."""
    frames = batch(4, CLASSES, seed=1)
    logits = sure * torch.nn.functional.one_hot(frames.masks, CLASSES).movedim(-1, 1).float()
    return pseudo_target(frames._replace(masks=torch.full_like(frames.masks, 255)), logits)


def ael(**changes: Any) -> AEL:  # Any: configuration values
    plugin = AEL(method_context(CLASSES, PIXELS, **changes))
    plugin.bank.value.copy_(torch.tensor([0.9, 0.8, 0.7, 0.1]))
    return plugin


def test_truth_put_into_a_view_is_certain_and_unlabelled_pixels_of_it_are_not_believed() -> None:
    labelled, view = batch(2, CLASSES), target()
    labelled.masks[0, :10] = 255
    region = torch.zeros_like(view.valid)
    region[:, :20] = True
    peer = PseudoTarget(view.images, view.probability, view.valid, (view.probability,))
    found = insert_labelled(peer, labelled, torch.tensor([0, 1, 0, 1]), region)
    assert torch.equal(found.images[1][:, :20], labelled.images[1][:, :20])
    assert torch.equal(found.images[:, :, 20:], view.images[:, :, 20:])
    assert (
        torch.equal(found.label[0, 10:20], labelled.masks[0, 10:20])
        and not found.valid[0, :10].any()
    )
    assert (found.confidence[1, :20] == 1).all() and torch.equal(
        peer_target(found).probability, found.probability
    )


def test_ael_pastes_rare_classes_with_image_and_mask_together_and_never_common_ones() -> None:
    torch.manual_seed(0)
    frames = batch(4, CLASSES)
    pasted = ael(ael={"copy_paste": 1.0}).prepare_labelled(frames)
    changed = pasted.masks != frames.masks
    assert changed.any() and (pasted.masks[changed] != 0).all()
    donor = frames.images.roll(-1, 0)
    moved = (pasted.images != frames.images).any(1)
    assert torch.equal(pasted.images.movedim(1, -1)[moved], donor.movedim(1, -1)[moved])
    same = ael(ael={"copy_paste": 0.0}).prepare_labelled(frames)
    assert torch.equal(same.masks, frames.masks) and torch.equal(same.images, frames.images)


def test_ael_keeps_more_of_bad_classes_and_weighs_by_squared_confidence() -> None:
    torch.manual_seed(0)
    view = target(sure=3.0)
    selected = ael().reweight(view, all_pixels(view, 0.5))
    kept = [(selected.weight[view.label == name] > 0).float().mean() for name in range(CLASSES)]
    assert kept[3] == 1 and 0.05 < kept[0] < 0.2
    weights = selected.weight[selected.weight > 0]
    torch.testing.assert_close(weights, view.confidence[selected.weight > 0] ** 2)
    torch.testing.assert_close(selected.divisor, weights.sum())


def test_ael_boxes_the_class_it_has_drawn() -> None:
    plugin, view = ael(cutmix=1.0), target(sure=9.0)
    marks = (1 + torch.arange(4.0))[:, None, None, None].expand_as(view.images)
    marked = replace(view, images=marks)
    plugin.bank.value.copy_(torch.tensor([1.0, 1.0, 1.0, 0.0]))
    hits = []
    for seed in range(8):
        torch.manual_seed(seed)
        mixed = plugin.mix(marked)
        region = mixed.images[:, 0] != marked.images[:, 0]
        assert 0.3 < region.float().mean() < 0.7
        assert torch.equal(mixed.label[~region], view.label[~region])
        hits.append(((mixed.label == 3) & region).flatten(1).any(1).float().mean())
    assert sum(hits) / len(hits) > 0.6  # drawn with softmax(1 - g), so not always


def test_ael_mixes_in_a_frame_of_the_batch_that_shows_the_drawn_class() -> None:
    """It need not be the next one: of 16 frames one shows class 3, and all others get it."""
    torch.manual_seed(0)
    label = torch.zeros(16, 8, 8, dtype=torch.int64)
    label[:, 4:] = 1
    label[5, :2] = 3
    drawn, partner = draw_partners(label, torch.tensor([0.0, 0.0, 0.5, 0.5]))
    others = torch.arange(16) != 5
    assert (drawn[others] == 3).all() and (partner[others] == 5).all()
    assert partner[5] != 5  # nobody else shows it: any other frame
    drawn, partner = draw_partners(label, torch.tensor([0.5, 0.5, 0.0, 0.0]))
    assert set(drawn.tolist()) == {0, 1} and len(set(partner.tolist())) > 6
    assert (partner != torch.arange(16)).all()
    assert draw_partners(label[:1], torch.ones(4))[1].tolist() == [0]


def test_ucc_pastes_rare_classes_only_and_counts_little_where_its_heads_disagree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    view, labelled = target(), batch(4, CLASSES)
    paste = CrossSetPaste(method_context(CLASSES, PIXELS, ael={"copy_paste": 1.0}))
    pasted = paste.inject(view, labelled).confidence == 1
    assert pasted.any() and (labelled.masks[pasted] != 0).all()
    found = []
    for weight in (1.0, 0.05):
        monkeypatch.setattr(
            ucc,
            "agreement_weight",
            lambda one, _, weight=weight: torch.full_like(one[:, 0], weight),
        )
        torch.manual_seed(0)
        method = METHODS["ucc"](method_context(CLASSES, method="ucc")).train()
        found.append(
            method(batch(2, CLASSES), batch(2, CLASSES, labelled=False), 0.9).logs["unlabelled"]
        )
    torch.testing.assert_close(found[1], 0.05 * found[0])


def test_augseg_puts_truth_into_uncertain_frames_only() -> None:
    torch.manual_seed(0)
    labelled = batch(4, CLASSES)
    flat, certain = target(), target(sure=60.0)
    assert mean_certainty(flat).max() < 0.01 and mean_certainty(certain).min() > 0.99
    plugin = AugSeg(method_context(CLASSES))
    assert ((plugin.inject(flat, labelled).confidence == 1).flatten(1).any(1)).all()
    assert torch.equal(plugin.inject(certain, labelled).images, certain.images)


def test_dacs_pastes_half_of_the_classes_of_a_labelled_frame_as_truth() -> None:
    torch.manual_seed(0)
    labelled = batch(4, CLASSES)
    labelled.masks[:, :5] = IGNORE
    flat = target()
    mixed = DACS(method_context(CLASSES)).inject(flat, labelled)
    pasted = mixed.confidence == 1
    assert pasted.flatten(1).any(1).all() and not pasted[:, :5].any()
    for frame in range(4):
        donors = [
            donor
            for donor in range(4)
            if torch.equal(mixed.label[frame][pasted[frame]], labelled.masks[donor][pasted[frame]])
        ]
        assert len(donors) == 1  # each frame has a donor of its own
        truth, inside = labelled.masks[donors[0]], pasted[frame]
        chosen = torch.unique(truth[inside])
        assert len(chosen) == len(torch.unique(truth[truth != IGNORE])) // 2
        # whole classes, with their pixels
        assert torch.equal(inside, torch.isin(truth, chosen))
        own = torch.where(inside, labelled.images[donors[0]], flat.images[frame])
        assert torch.equal(mixed.images[frame], own)
    outside = ~pasted[:, None].expand_as(mixed.probability)
    assert torch.equal(mixed.probability[outside], flat.probability[outside])


def test_fpl_has_the_size_of_the_cross_entropy_it_replaces_and_another_gradient() -> None:
    torch.manual_seed(0)
    view = target(sure=1.0)
    logits = torch.randn(4, CLASSES, 64, 64, requires_grad=True)
    weight = torch.rand(4, 64, 64)
    loss = FPL(method_context(CLASSES)).pixel_loss(logits, view, weight)
    plain = torch.nn.functional.cross_entropy(logits, view.label, reduction="none")
    assert loss is not None
    torch.testing.assert_close((loss * weight).sum(), (plain * weight).sum())
    (one,) = torch.autograd.grad((loss * weight).sum(), logits, retain_graph=True)
    (other,) = torch.autograd.grad((plain * weight).sum(), logits)
    assert not torch.allclose(one, other, atol=1e-3)


def test_fpl_is_the_cross_entropy_where_every_pixel_that_counts_has_one_positive() -> None:
    """Pixels that a threshold leaves out must not scale those that it keeps."""
    torch.manual_seed(0)
    view = target(sure=torch.where(torch.arange(64) < 20, 9.0, 0.5).expand(4, 1, 64, 64))
    weight = (view.confidence > 0.9).float()
    logits = torch.randn(4, CLASSES, 64, 64)
    loss = FPL(method_context(CLASSES)).pixel_loss(logits, view, weight)
    assert loss is not None and 0 < float(weight.mean()) < 1
    plain = torch.nn.functional.cross_entropy(logits, view.label, reduction="none")
    torch.testing.assert_close(loss * weight, plain * weight)
    nothing = FPL(method_context(CLASSES)).pixel_loss(logits, view, torch.zeros_like(weight))
    assert nothing is not None and not (nothing * 0).any()


def test_corrmatch_leaves_beliefs_outside_its_regions_as_fine_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = METHODS["cutmix_mt"](method_context(CLASSES))
    plugin, view = CorrMatch(method_context(CLASSES)), target(sure=6.0)
    output = method.teacher(method.normalize(view.images))
    monkeypatch.setattr(corrmatch, "SAMPLES", 0)
    torch.testing.assert_close(
        plugin.adjust_targets(method, view, output).probability, view.probability
    )
    monkeypatch.undo()
    halves = [
        maps * 0 + (torch.arange(maps.shape[3]) * 2 < maps.shape[3]) for maps in output.features
    ]
    plugin.threshold.value.fill_(0.4)
    found = plugin.adjust_targets(
        method, view, output._replace(features=halves)
    )  # the left half is one region
    torch.testing.assert_close(found.probability[..., 32:], view.probability[..., 32:])
    assert (found.confidence[..., :32] == 1).all() and (found.label[..., :32] == 0).all()


def test_corrmatch_correlates_the_deepest_of_the_finest_maps_at_a_stride_of_eight_or_more() -> None:
    def chosen(*sides: int) -> int:
        maps = [torch.full((1, 1, side, side), float(place)) for place, side in enumerate(sides)]
        return int(_correlated_maps(Output(maps[0], maps, None), 64).mean())

    assert chosen(64, 32, 16, 8, 4, 4) == 3
    assert chosen(8, 1) == 0  # DDRNet has two
    assert chosen(4, 4, 4, 4) == 3  # a ViT's levels are alike
    assert chosen(32, 16) == 1


def test_prevmatch_asks_about_clean_frames_and_its_word_moves_with_the_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prevmatch, "CONFIDENCE", 0.0)
    settings: dict[str, Any] = {
        "method": "cutmix_mt",
        "plugins": ["prevmatch"],
        "steps": 8,
        "warmup": 0.0,
    }
    method = METHODS["cutmix_mt"](method_context(CLASSES, **settings)).train()
    (plugin,) = method.plugins  # type: ignore[misc]
    assert isinstance(plugin, PrevMatch)
    view = target()
    output = method.teacher_forward(view.images)
    assert plugin.adjust_targets(method, view, output).peers == ()  # no snapshot yet
    method.after_step(0)
    assert int(plugin.taken) == 1
    found = plugin.adjust_targets(method, view, output)
    expected = pseudo_target(
        batch(4, CLASSES, seed=1, labelled=False),
        plugin.snapshots[0](method.normalize(view.images)).logits,
    )
    torch.testing.assert_close(found.peers[-1], expected.probability)
    truth = batch(4, CLASSES)
    everywhere = torch.ones_like(view.valid)
    injected = insert_labelled(found, truth, torch.arange(4), everywhere)
    logits = 30.0 * torch.nn.functional.one_hot(truth.masks, CLASSES).movedim(-1, 1).float()
    said = Output(torch.cat([logits, logits]), [], None)
    step_context = StepContext(
        torch.cat([view.images] * 2), said, truth, injected, view.images, 1.0
    )
    loss = plugin.auxiliary_loss(method, step_context)
    assert loss is not None and float(loss) < 1e-6  # injected truth is the second opinion, too


def test_a_plugin_s_losses_have_one_scale_on_every_host() -> None:
    """Mean Teacher weighs its squared error by ten; what a plug-in adds is no squared error."""
    found = []
    for plugins in ((), ("fpl",)):
        torch.manual_seed(0)
        method = METHODS["mean_teacher"](
            method_context(CLASSES, method="mean_teacher", plugins=plugins, ramp=0.0)
        ).train()
        result = method(batch(2, CLASSES), batch(2, CLASSES, labelled=False), 0.9)
        extra = result.loss - result.logs["supervised"]
        torch.testing.assert_close(extra.detach(), result.logs["unlabelled"])
        found.append(float(extra.detach()))
    assert (
        found[0] < 1 < found[1] < 5
    )  # an untrained network's cross-entropy is about ln 4, a tenth of what it was


def test_prevmatch_keeps_the_last_snapshots_of_the_teacher_and_has_none_in_the_warm_up() -> None:
    settings: dict[str, Any] = {
        "method": "cutmix_mt",
        "plugins": ["prevmatch"],
        "steps": 40,
        "warmup": 0.5,
    }
    method = METHODS["cutmix_mt"](method_context(CLASSES, **settings)).train()
    (plugin,) = method.plugins  # type: ignore[misc]
    assert isinstance(plugin, PrevMatch)
    marks, taken = [], list[int]()
    for step in range(40):
        with torch.no_grad():
            for parameter in method.teacher.classifier.parameters():
                parameter.fill_(float(step))
        plugin.after_step(method, step)
        if step == 19:
            assert int(plugin.taken) == 0
        if int(plugin.taken) > len(taken):
            taken.append(step)
    for snapshot in plugin.snapshots:
        weight = next(snapshot.classifier.parameters())  # type: ignore[union-attr]
        marks.append(float(weight.flatten()[0]))
    assert sorted(marks) == taken[-SNAPSHOTS:] and taken[0] >= 20


def test_a_plugin_s_labelled_frames_are_what_is_supervised() -> None:
    seen: list[torch.Tensor] = []
    method = METHODS["ael"](
        method_context(CLASSES, PIXELS, method="ael", ael={"copy_paste": 1.0})
    ).train()
    (plugin,) = method.plugins  # type: ignore[misc]
    inner = plugin.observe_labelled

    def observe(logits: torch.Tensor, masks: torch.Tensor) -> None:
        seen.append(masks)
        inner(logits, masks)

    plugin.observe_labelled = observe
    torch.manual_seed(0)
    frames = batch(4, CLASSES)
    method(frames, batch(4, CLASSES, labelled=False), 0.9)
    assert len(seen) == 1 and not torch.equal(seen[0], frames.masks)
