"""Distillation loss: temperature-scaled KL divergence from the teacher (Hinton et al., 2015).

Legend: B batch, C classes, H W pixels.
"""

from __future__ import annotations

from torch import Tensor

from edgeseg.distributed import distributed_masked_mean


def distillation_loss(
    logits: Tensor, teacher_logits: Tensor, valid: Tensor, temperature: float
) -> Tensor:
    """T^2 KL(p_teacher || p_student) of distributions softened by T, mean over the valid pixels.

    Softening divides gradients by T^2, so the factor T^2 keeps their scale the same for every T.

    Args:
        logits: (B, C, H, W) of the student, with gradient.
        teacher_logits: (B, C, H, W).
        valid: (B, H, W) bool.
        temperature: T.

    Returns:
        (), over the pixels of all processes.
    """
    log_p_teacher = (teacher_logits.float() / temperature).log_softmax(1)
    log_p_student = (logits.float() / temperature).log_softmax(1)
    kl_divergence = (log_p_teacher.exp() * (log_p_teacher - log_p_student)).sum(1)
    return temperature**2 * distributed_masked_mean(kl_divergence, valid)
