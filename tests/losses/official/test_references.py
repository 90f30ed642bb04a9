"""Losses and selections against stored numbers: the papers' formulas and the official code.

`benchmarks/loss_references.py` computed the numbers, and says how. Where official code and edgeseg
differ on purpose, the test has the official number beside it and says why.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.loss_references import STORED, Inputs, PixelInputs, stability_masks
from edgeseg.config import U2PLConfig
from edgeseg.data.cutmix import random_boxes, small_boxes
from edgeseg.losses import consistency, fpl_fuzzy
from edgeseg.losses.ael_adaptive import (
    ConfidenceBank,
    class_sampling_probabilities,
    confidence_weight,
    equalization_sampling_rates,
)
from edgeseg.losses.baselines.cac_directional import directional_contrast
from edgeseg.losses.baselines.dmt_weights import mutual_weight
from edgeseg.losses.corrmatch_correlation import AdaptiveThreshold
from edgeseg.losses.stpp_ranking import stability
from edgeseg.losses.u2pl_contrastive import anchor_mask, info_nce, negative_mask
from edgeseg.methods import METHODS
from edgeseg.methods.baselines import advssl, s4gan
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import (
    PixelSelector,
    all_pixels,
    confident_pixels,
    low_entropy_pixels,
    reweighted,
    weighted_by_confident_share,
)
from edgeseg.methods.framework.views import PseudoTarget
from edgeseg.methods.online import unimatch
from edgeseg.methods.online.psmt import PSMT
from edgeseg.methods.plugins.augseg import mean_certainty
from edgeseg.models import Output
from tests.helpers.methods import method_context

STORED_NUMBERS: dict[str, Any] = json.loads(STORED.read_text())
GIVEN, PLACES = Inputs(), PixelInputs()
CLASSES = GIVEN.student.shape[1]


def stored(name: str) -> Tensor:
    """A stored number or list of numbers."""
    return torch.tensor(STORED_NUMBERS[name], dtype=torch.float64)


def tensor(values: Any) -> Tensor:  # Any: arrays
    """Of an array; floats as float32, in which trainings run."""
    found = torch.as_tensor(values)
    return found.float() if found.is_floating_point() else found


def check(found: Any, name: str, rtol: float = 1e-5) -> None:  # Any: tensors, numbers or lists
    """Compare with the stored number of that name."""
    torch.testing.assert_close(
        torch.as_tensor(found, dtype=torch.float64), stored(name), rtol=rtol, atol=rtol
    )


STUDENT, TEACHER, PEER = (tensor(part) for part in (GIVEN.student, GIVEN.teacher, GIVEN.peer))


def target(*, padded: bool) -> PseudoTarget:
    """The teacher's labels, everywhere or not in a padded quarter."""
    valid = torch.as_tensor(GIVEN.valid if padded else GIVEN.everywhere)
    return PseudoTarget(torch.zeros(len(valid), 3, *valid.shape[1:]), TEACHER.softmax(1), valid)


@cache
def method(name: str = "cutmix_mt") -> OnlineMethod:
    made = METHODS[name](method_context(CLASSES, method=name))
    assert isinstance(made, OnlineMethod)
    return made


def unlabelled_loss(select: PixelSelector, *, padded: bool, progress: float = 0.5) -> Tensor:
    """As every method computes it of its student's logits."""
    return method().unlabelled_loss(STUDENT, target(padded=padded), progress, select)[0]


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.95])
def test_unimatch_and_fixmatch(threshold: float) -> None:
    check(unlabelled_loss(confident_pixels(threshold), padded=True), f"unimatch {threshold}")


@pytest.mark.parametrize("progress", [0.0, 0.5, 0.9])
def test_u2pl_s_reliable_pixels(progress: float) -> None:
    """A histogram of 2048 bins moves a pixel or two to the other side of the percentile."""
    select = low_entropy_pixels(U2PLConfig(per_class=False))
    name = f"u2pl {progress}"
    check(unlabelled_loss(select, padded=False, progress=progress), name, rtol=2e-3)
    padded = unlabelled_loss(select, padded=True, progress=progress)
    check(padded, f"{name} padded", rtol=2e-3)
    # N is the number of frames' pixels in the paper; the official code counts padding in it.
    assert float(padded / stored(f"{name} padded official")) == pytest.approx(0.75, abs=2e-3)


def test_u2pl_s_choice_by_class_is_another_on_purpose_and_as_many_pixels() -> None:
    """docs/decisions/0006: rare classes keep their share of the pseudo-labels."""
    found = unlabelled_loss(low_entropy_pixels(U2PLConfig()), padded=False, progress=0.0)
    assert float(found) == pytest.approx(float(stored("u2pl 0.0")), rel=5e-2)
    assert float(found) != pytest.approx(float(stored("u2pl 0.0")), rel=1e-4)


def test_classmix_weighs_all_pixels_by_the_share_of_confident_ones() -> None:
    check(unlabelled_loss(weighted_by_confident_share(0.968), padded=False), "classmix")


def test_ael_s_re_weighted_cross_entropy() -> None:
    def select(view: PseudoTarget, progress: float) -> Any:  # Any: PixelWeights
        return reweighted(all_pixels(view, progress), confidence_weight(view.confidence))

    check(unlabelled_loss(select, padded=True), "ael reweighted")


def test_psmt_s_confident_cross_entropy() -> None:
    ps_mt = method("psmt")
    check(ps_mt.unlabelled_loss(STUDENT, target(padded=True), 0.5)[0], "psmt")


def test_augseg_divides_by_the_pixels_of_the_frames() -> None:
    """The official code divides by the padding as well."""
    found = unlabelled_loss(all_pixels, padded=True)
    check(found, "augseg")
    check(0.75 * found, "augseg official")
    check(mean_certainty(target(padded=False)), "augseg certainty")


def test_corrmatch_s_threshold_moves_to_the_classes_best_pixels() -> None:
    view, threshold = target(padded=False), AdaptiveThreshold()
    threshold.update(view.confidence, view.label, view.valid)
    check(threshold.value, "corrmatch threshold", rtol=1e-7)


def test_squared_errors() -> None:
    error = consistency.squared_error(STUDENT, TEACHER.softmax(1))
    check(error.mean(), "cct")
    check(CLASSES * error.mean(), "cutmix-seg var")  # French et al. sum over the classes
    view = target(padded=False)
    weighted = method("mean_teacher").pixel_loss(STUDENT, view, torch.ones_like(view.confidence))
    check(weighted.mean(), "mean teacher")


@pytest.mark.parametrize("t_u", [0.5, 0.9, 0.95])
def test_fuzzy_positives(t_u: float) -> None:
    probability = PEER.softmax(1)
    positives = fpl_fuzzy.fuzzy_positives(probability, t_u, 3)
    numbers = positives.sum(1).flatten().bincount(minlength=4)[1:]
    assert numbers.tolist() == STORED_NUMBERS[f"fpl numbers {t_u}"]
    check(fpl_fuzzy.fuzzy_loss(STUDENT, positives).mean(), f"fpl loss {t_u}")
    check(fpl_fuzzy.fuzzy_weight(probability, positives, "linear").mean(), f"fpl linear {t_u}")
    check(fpl_fuzzy.fuzzy_weight(probability, positives, "concave").mean(), f"fpl concave {t_u}")
    convex = fpl_fuzzy.fuzzy_weight(probability, positives, "convex").mean()
    check(convex, f"fpl convex {t_u}")
    # Their code on CPS has another formula of this name; ours is that on AEL.
    assert float(convex) < 0.7 * float(stored(f"fpl convex {t_u} on cps"))


def test_ael_s_chances_and_confidence() -> None:
    confidence = tensor(GIVEN.class_confidence)
    check(class_sampling_probabilities(confidence, 1.0), "ael chances cutmix")
    check(class_sampling_probabilities(confidence, 0.5), "ael chances copy-paste")
    check(equalization_sampling_rates(confidence, minimum=0.0), "ael rates")
    bank = ConfidenceBank(CLASSES)
    bank.update(STUDENT.softmax(1), torch.as_tensor(GIVEN.mask))
    expected = stored("ael confidence")
    torch.testing.assert_close(bank.value[:-1].double(), expected[:-1], rtol=1e-5, atol=1e-6)
    # A class that no pixel shows is 0 in the official code, as if it were learned worst of all.
    assert float(expected[-1]) == 0 and float(bank.value[-1]) == 0.5


def test_dmt_s_dynamic_mutual_loss() -> None:
    confidence, label = PEER.softmax(1).max(1)
    weight = mutual_weight(STUDENT.softmax(1), label, confidence, 3, 3)
    loss = torch.nn.functional.cross_entropy(STUDENT, label, reduction="none")
    check((weight * loss).mean(), "dmt")


def test_dsbn_s_self_correction() -> None:
    """The official code, run on each frame by itself: in a batch it weighs every frame's losses by
    all frames' confidences, which is a slip of its shapes. It divides by all pixels, labelled or
    not; edgeseg by the labelled ones.
    """
    logits = STUDENT.double().requires_grad_(True)
    label = torch.as_tensor(GIVEN.mask)
    loss = consistency.self_correction_loss(logits, label)
    check((loss.sum() / (label != 255).sum()).detach(), "dsbn")
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    check(slope[0, :, -1, -1], "dsbn gradient")


def test_psmt_s_seven_classes_of_the_teacher_that_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    ps_mt = method("psmt")
    assert isinstance(ps_mt, PSMT)
    moving = [lambda _, logits=logits: Output(logits, [], None) for logits in (STUDENT, PEER)]
    monkeypatch.setattr(ps_mt, "_teachers", lambda: moving)
    output = ps_mt._predict_with_both(torch.zeros(1, 3, 64, 64), 0)
    check(output.logits.softmax(1).amax(1).mean(), "psmt assist")


def test_u2pl_s_anchors_negatives_and_contrast() -> None:
    """The official code asks that a negative has the (pseudo-)label of the class it is to be told
    from, so that no labelled pixel is ever one, and unlabelled ones only by a mistake of axes.
    """
    probability, label = tensor(PLACES.probability), torch.as_tensor(PLACES.label)
    labelled, unreliable = torch.as_tensor(PLACES.labelled), torch.as_tensor(PLACES.unreliable)
    anchors = anchor_mask(label, probability, label != 255, 0.3)
    negatives = negative_mask(label, probability, labelled, unreliable, 3, 20)
    for mask, name in ((anchors, "u2pl anchors"), (negatives, "u2pl negatives")):
        assert [column.nonzero()[:, 0].tolist() for column in mask.T] == STORED_NUMBERS[name]
    rep = tensor(PLACES.rep)
    first = torch.eye(len(rep), 5, dtype=torch.bool)  # the anchor of class c is the c-th pixel
    five = torch.ones(5, dtype=torch.bool)
    found = info_nce(
        rep, first, tensor(PLACES.prototypes), tensor(PLACES.negatives), five, 3, temperature=0.5
    )
    check(found, "u2pl info_nce")


def test_cac_s_directional_contrast() -> None:
    features, confidences, labels = (
        [tensor(part) for part in pair]
        for pair in (PLACES.crops, PLACES.confidences, PLACES.labels)
    )
    found = directional_contrast(
        features[0],
        features[1],
        confidences[0],
        confidences[1],
        labels[0],
        labels[1],
        torch.ones(len(PLACES.rep), dtype=torch.bool),
        tensor(PLACES.others),
        torch.as_tensor(PLACES.other_labels),
    )
    check(found, "cac")


def test_stability_of_st_plus_plus() -> None:
    check(stability(stability_masks(), 4), "st++ stability")


def test_boxes() -> None:
    torch.manual_seed(0)
    tenths = torch.tensor([0.1, 0.5, 0.9])
    half = random_boxes(2000, 100, 100, torch.device("cpu"))
    assert float(half.float().mean()) == pytest.approx(0.5, abs=0.005)
    check(half.any(2).float().mean(1).quantile(tenths), "cutmix heights", rtol=0.02)
    small = small_boxes(2000, 100, 100, torch.device("cpu"))
    check(small.float().mean((1, 2)).quantile(tenths), "unimatch areas", rtol=0.02)


def test_weights_of_losses() -> None:
    weights = [unimatch.STRONG_WEIGHT, unimatch.STRONG_WEIGHT, unimatch.PERTURBED_WEIGHT]
    check(weights, "unimatch weights")
    check(
        [
            advssl.LABELLED_WEIGHT,
            advssl.UNLABELLED_WEIGHT,
            advssl.PSEUDO_LABEL_WEIGHT,
            advssl.REAL_THRESHOLD,
        ],
        "advssl constants",
    )
    check([s4gan.MATCHING_WEIGHT, s4gan.REAL_THRESHOLD], "s4gan constants")
