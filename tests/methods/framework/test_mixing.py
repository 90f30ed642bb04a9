"""How often each method mixes frames, how large its boxes are, and which labels count."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edgeseg.config.method_catalogue import CATALOGUE
from edgeseg.data.cutmix import small_boxes
from edgeseg.methods import METHODS
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.views import PseudoTarget, pseudo_target
from tests.helpers.methods import batch, method_context

CLASSES = 4
DRAWS = 40
EVERY_STEP = ("cutmix_mt", "classmix", "ael", "fpl_ael", "u2pl_ael", "psmt", "cps_cutmix")
HALF_OF_THE_STEPS = ("u2pl",)
HALF_OF_THE_FRAMES = ("fixmatch", "unimatch", "unimatch_v2")
MIXING = (*EVERY_STEP, *HALF_OF_THE_STEPS, *HALF_OF_THE_FRAMES, "fpl_cps_cutmix")
NO_THRESHOLD = ("cutmix_mt", "fixmatch", "unimatch", "unimatch_v2")


def made(name: str, **changes: Any) -> OnlineMethod:  # Any: configuration values
    torch.manual_seed(0)
    method = METHODS[name](method_context(CLASSES, method=name, strong=False, **changes))
    assert isinstance(method, OnlineMethod)
    return method


def flat_frames() -> PseudoTarget:
    """Four frames, each of its own gray and with its own class in each quarter of its pixels."""
    frames = batch(4, CLASSES, size=32)
    images = (torch.arange(4.0) / 4)[:, None, None, None].expand_as(frames.images)
    label = torch.arange(CLASSES).repeat_interleave(8).expand(4, 32, 32)
    label = torch.stack([label[frame].roll(8 * frame, 1) for frame in range(4)])
    logits = 9.0 * torch.nn.functional.one_hot(label, CLASSES).movedim(-1, 1).float()
    return pseudo_target(frames._replace(images=images), logits)


def mixed_shares(method: OnlineMethod, draws: int = DRAWS) -> torch.Tensor:
    """The share of the pixels of each frame that came from another one, (draws, 4)."""
    frames, labelled = flat_frames(), batch(2, CLASSES, size=32)
    shares = []
    for draw in range(draws):
        torch.manual_seed(draw)
        view = method.strong_view(frames, labelled)
        shares.append((view.images != frames.images)[:, 0].flatten(1).float().mean(1))
    return torch.stack(shares)


def test_the_catalogue_names_those_that_mix() -> None:
    assert {name for name, info in CATALOGUE.items() if info.cutmix is not None} == set(MIXING)


@pytest.mark.parametrize("name", MIXING)
def test_a_method_mixes_as_often_as_its_paper_and_as_train_cutmix_says(name: str) -> None:
    shares = mixed_shares(made(name))
    frames = (shares > 0).float()
    steps = frames.amax(1)
    if name in HALF_OF_THE_FRAMES:
        assert 0.4 < frames.mean() < 0.6
        # A coin for each frame: all four, or none, in a sixteenth of the steps.
        assert steps.mean() > 0.85 and frames.amin(1).mean() < 0.15
    elif name in HALF_OF_THE_STEPS:
        assert 0.35 < steps.mean() < 0.65 and torch.equal(frames.amin(1), steps)
    else:
        assert steps.mean() == 1
    if name not in ("fpl_ael", "u2pl_ael", "fpl_cps_cutmix", "unimatch_v2"):  # as their hosts
        assert mixed_shares(made(name, cutmix=0.0), 6).sum() == 0
        assert (mixed_shares(made(name, cutmix=1.0), 6) > 0).any(1).all()


@pytest.mark.parametrize("name", ["cutmix_mt", "u2pl", "psmt", "cps_cutmix"])
def test_boxes_of_half_of_the_frame(name: str) -> None:
    shares = mixed_shares(made(name, cutmix=1.0), 6)
    assert ((shares - 0.5).abs() < 0.06).all()


@pytest.mark.parametrize("name", HALF_OF_THE_FRAMES)
def test_boxes_of_unimatch_cover_2_to_40_per_cent(name: str) -> None:
    shares = mixed_shares(made(name, cutmix=1.0))
    assert shares.min() < 0.06 and 0.34 < shares.max() < 0.45  # whole pixels of a frame of 32
    assert float(shares.mean()) == pytest.approx(0.21, abs=0.03)


def test_small_boxes_have_evenly_distributed_areas_and_the_published_shapes() -> None:
    torch.manual_seed(0)
    box = small_boxes(400, 100, 150, torch.device("cpu"))
    share = box.flatten(1).float().mean(1)
    quartiles = share.quantile(torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    expected = torch.tensor([0.02, 0.115, 0.21, 0.305, 0.4])
    torch.testing.assert_close(quartiles, expected, atol=0.02, rtol=0)
    height, width = box.any(2).sum(1) / 100, box.any(1).sum(1) / 150
    assert (height / width).min() > 0.28 and (height / width).max() < 1.06 / 0.3
    assert ((height / width).log().mean()).abs() < 0.1
    assert (box.flatten(1).float().mean(0) > 0).float().mean() > 0.99  # anywhere in the frame


@pytest.mark.parametrize("name", NO_THRESHOLD)
def test_every_label_counts_on_a_site_whose_every_pixel_has_a_class(name: str) -> None:
    """0.95 is for VOC; the official configuration of UniMatch for Cityscapes has 0."""
    logs = made(name, warmup=0.0, ramp=0.0)(
        batch(2, CLASSES), batch(2, CLASSES, seed=1, labelled=False), 0.9
    ).logs
    assert logs["kept"] == 1
    logs = made(name, warmup=0.0, ramp=0.0, confidence=0.99)(
        batch(2, CLASSES), batch(2, CLASSES, seed=1, labelled=False), 0.9
    ).logs
    assert logs["kept"] < 0.5
