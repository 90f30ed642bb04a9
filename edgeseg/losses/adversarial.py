"""Losses with a second network that judges: AdvSSL (Hung et al., BMVC 2018), S4GAN (Mittal et al.,
TPAMI 2021), GCT (Ke et al., ECCV 2020).

A discriminator scores, as one logit a pixel (AdvSSL) or a frame (S4GAN), whether a class map is
real; GCT's flaw detector says where a prediction is wrong. Legend: B batch, C classes, H W pixels,
D features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.distributed import all_reduce_sum, distributed_mean, world_size
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.precision import to_float32


def discriminator_loss(
    real: Tensor, fake: Tensor, real_valid: Tensor | None = None, fake_valid: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy of both sides, what the discriminator minimizes.

    Args:
        real, fake: (B, ...) logits of true masks (one-hot) and of predictions, detached by the
        caller. real_valid, fake_valid: as the logits, bool; all where left out.

    Returns:
        ().
    """
    return _mean(F.softplus(-to_float32(real)), real_valid) + _mean(
        F.softplus(to_float32(fake)), fake_valid
    )


def adversarial_loss(fake: Tensor, valid: Tensor | None = None) -> Tensor:
    """What the segmenter minimizes to be taken for real (AdvSSL: weight 0.01, unlabelled 0.001).

    Args:
        fake: (B, ...) logits of predictions, with gradient.
        valid: the same shape, bool.

    Returns:
        ().
    """
    return _mean(F.softplus(-to_float32(fake)), valid)


def trusted(score: Tensor, least: float) -> Tensor:
    """Where the discriminator is convinced: pixels above 0.2 (AdvSSL), frames above 0.6 (S4GAN).

    Args:
        score: (B, ...) logits.

    Returns:
        The same shape, bool.
    """
    return to_float32(score.detach()).sigmoid() > least


def feature_matching(real: Tensor, fake: Tensor) -> Tensor:
    """L1 distance, mean over features, between the mean discriminator features of both sides
    (S4GAN).

    Args:
        real: (B, D), used without gradient.
        fake: (B, D), with gradient.

    Returns:
        (); means run over all processes.
    """
    real, fake = to_float32(real.detach()), to_float32(fake)
    goal = all_reduce_sum(real.sum(0)) / all_reduce_sum(real.new_full((), len(real))).clamp(min=1)
    count = all_reduce_sum(fake.new_full((), len(fake))).clamp(min=1)
    own = fake.sum(0)
    mean = (
        all_reduce_sum(own) / count + world_size() * (own - own.detach()) / count
    )  # whose gradients are averaged later
    return (mean - goal).abs().mean()


@torch.no_grad()
def flaw_target(probability: Tensor, label: Tensor, blur: float = 1 / 16) -> Tensor:
    """How wrong a prediction is around each pixel, what GCT's flaw detector has to find.

    Half of |onehot - p|_1, which is the probability that misses the true class and so lies in 0..1,
    then a Gaussian blur that leaves ignored pixels out of its averages.

    Args:
        probability: (B, C, H, W).
        label: (B, H, W) int64, 255 = ignore.
        blur: standard deviation as a share of the shorter side.

    Returns:
        (B, H, W), 0..1; 0 where nothing near is labelled.
    """
    known = label != IGNORE
    hit = to_float32(probability).gather(1, label.masked_fill(~known, 0)[:, None])
    weight = known[:, None].to(hit.dtype)
    wrong = _blur(torch.cat([(1 - hit) * weight, weight]).clamp(min=0), blur * min(label.shape[1:]))
    amount, share = wrong[:, 0].chunk(2)
    return amount / share.clamp(min=1e-6)


def flaw_loss(found: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Squared error of the flaw detector (GCT); against a target of 0, its flaw correction.

    Args:
        found, target: (B, H, W).
        valid: (B, H, W) bool; for flaw correction, where both networks are bad.

    Returns:
        ().
    """
    return _mean((to_float32(found) - to_float32(target)).square(), valid)


@torch.no_grad()
def learners(
    flaw_one: Tensor, flaw_other: Tensor, bad: float = 0.6
) -> tuple[Tensor, Tensor, Tensor]:
    """Who learns from whom in GCT's dynamic consistency (methods.md 2.9): the worse one, unless
    both are bad.

    Args:
        flaw_one, flaw_other: (B, H, W) from the flaw detector.

    Returns:
        Three (B, H, W) bool: the first network learns, the second one learns, both are bad.
    """
    both = (flaw_one > bad) & (flaw_other > bad)
    return (flaw_one > flaw_other) & ~both, (flaw_other > flaw_one) & ~both, both


def _mean(values: Tensor, valid: Tensor | None) -> Tensor:
    if valid is None:
        return distributed_mean(values.sum(), values.new_full((), values.numel()))
    return distributed_mean((values * valid).sum(), valid.sum())


def _blur(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (B, 1, H, W) along both sides; beyond the border lies 0."""
    reach = max(1, round(3 * sigma))
    offset = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = (-0.5 * (offset / max(sigma, 1e-3)).square()).exp()
    kernel = kernel / kernel.sum()
    with torch.autocast(maps.device.type, enabled=False):
        rows = F.conv2d(maps, kernel.view(1, 1, -1, 1), padding=(reach, 0))
        return F.conv2d(rows, kernel.view(1, 1, 1, -1), padding=(0, reach))
