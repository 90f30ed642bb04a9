"""Adversarial losses: AdvSSL (Hung et al., BMVC 2018) and S4GAN (Mittal et al., TPAMI 2021).

A discriminator scores whether a class map is real, by one logit a pixel (AdvSSL) or a frame
(S4GAN). Legend: B batch, D features.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from edgeseg.distributed import all_reduce_sum, distributed_masked_mean, world_size
from edgeseg.losses.shared.precision import to_float32


def discriminator_loss(
    real: Tensor, fake: Tensor, real_valid: Tensor | None = None, fake_valid: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy that the discriminator minimizes: -ln s(real) - ln(1 - s(fake)).

    s is the sigmoid; each of the two terms is a mean.

    Args:
        real, fake: (B, ...) logits of true masks (one-hot) and of predictions, which the caller has
            detached.
        real_valid, fake_valid: bool, of the logits' shapes; all are valid where left out.

    Returns:
        ().
    """
    loss_real = distributed_masked_mean(F.softplus(-to_float32(real)), real_valid)
    return loss_real + distributed_masked_mean(F.softplus(to_float32(fake)), fake_valid)


def adversarial_loss(fake: Tensor, valid: Tensor | None = None) -> Tensor:
    """-ln s(fake), which the segmentation network minimizes to be taken for real.

    Args:
        fake: (B, ...) logits of predictions, with gradient.
        valid: the same shape, bool.

    Returns:
        ().
    """
    return distributed_masked_mean(F.softplus(-to_float32(fake)), valid)


def judged_real(score: Tensor, threshold: float) -> Tensor:
    """Pixels (AdvSSL) or frames (S4GAN) that the discriminator takes for real.

    Args:
        score: (B, ...) logits.
        threshold: probability of being real that has to be exceeded; 0.2 in AdvSSL, 0.6 in S4GAN.

    Returns:
        The same shape, bool.
    """
    return to_float32(score.detach()).sigmoid() > threshold


def feature_matching(real: Tensor, fake: Tensor) -> Tensor:
    """S4GAN's feature matching loss, the L1 distance of both sides' mean discriminator features.

    Args:
        real: (B, D), used without gradient.
        fake: (B, D), with gradient.

    Returns:
        (), the mean over features; the mean features run over all processes.
    """
    real, fake = to_float32(real.detach()), to_float32(fake)
    real_count = all_reduce_sum(real.new_full((), len(real))).clamp(min=1)
    real_mean = all_reduce_sum(real.sum(0)) / real_count
    fake_count = all_reduce_sum(fake.new_full((), len(fake))).clamp(min=1)
    own_sum = fake.sum(0)
    # The value is the mean over all processes. The second term is 0 and carries the gradient of
    # this process's part, times the number of processes, since gradients are averaged over them.
    gradient_only = world_size() * (own_sum - own_sum.detach()) / fake_count
    fake_mean = all_reduce_sum(own_sum) / fake_count + gradient_only
    return (fake_mean - real_mean).abs().mean()
