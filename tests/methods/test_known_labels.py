"""Labels that were propagated to unlabelled frames take the place of pseudo-labels."""

from __future__ import annotations

import pytest
import torch

from edgeseg.config.method_catalogue import CATALOGUE, keys_read
from edgeseg.methods import METHODS
from edgeseg.methods.framework.views import pseudo_target
from tests.helpers.methods import batch, method_context

CLASSES = 4
TAKERS = [name for name in METHODS if "propagation" in keys_read(name, ())]


def test_known_pixels_are_certain_and_others_predicted() -> None:
    frames = batch(2, CLASSES)
    frames.masks[:, :32] = 255
    logits = torch.randn(2, CLASSES, 16, 16)
    predicted = pseudo_target(frames._replace(masks=torch.full_like(frames.masks, 255)), logits)
    target = pseudo_target(frames, logits)
    assert torch.equal(target.probability[:, :, :32], predicted.probability[:, :, :32])
    assert torch.equal(target.label[:, 32:], frames.masks[:, 32:])
    assert (target.confidence[:, 32:] == 1).all() and (target.entropy[:, 32:] < 1e-6).all()


@pytest.mark.parametrize("name", TAKERS)
def test_they_act_in_every_method_that_says_so(name: str) -> None:
    losses = []
    for known in (False, True):
        torch.manual_seed(0)
        method = METHODS[name](method_context(CLASSES, method=name, propagation=known)).train()
        assert method.propagation is known
        unlabelled = batch(2, CLASSES, seed=1, labelled=known)
        torch.manual_seed(1)
        losses.append(float(method(batch(2, CLASSES), unlabelled, 0.9).logs["unlabelled"]))
    assert losses[0] != losses[1]


def test_without_mixing_the_networks_of_cps_label_labelled_frames_for_each_other() -> None:
    """As in the paper: the truth is not their pseudo-label."""
    losses = []
    for classes_moved in (0, 1):
        torch.manual_seed(0)
        method = METHODS["cps"](method_context(CLASSES, method="cps", class_balance=0.0)).train()
        labelled = batch(2, CLASSES)
        moved = labelled._replace(masks=(labelled.masks + classes_moved) % CLASSES)
        unlabelled = batch(2, CLASSES, seed=1, labelled=False)
        losses.append(float(method(moved, unlabelled, 0.9).logs["unlabelled"]))
    assert losses[0] == losses[1]


def test_others_are_not_given_any() -> None:
    others = [name for name in METHODS if name not in TAKERS]
    assert {"suponly", "gct", "cac"} <= {*others} and len(TAKERS) > len(others)
    assert all(CATALOGUE[name].family != "online mean teacher" for name in others)
    for name in others:
        assert not METHODS[name](method_context(CLASSES, method=name)).propagation
