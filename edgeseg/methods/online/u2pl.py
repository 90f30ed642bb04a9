"""U2PL (Wang et al., CVPR 2022, arXiv 2203.03884): L_s + lambda_u L_u + lambda_c L_c (eq. 1).

Reliable pixels, those of low entropy, are pseudo-labels (`framework/pixel_selection.py`); the
others still tell a contrastive loss which classes they are not (`plugins/u2pl_contrast.py`, whose
formulas are in `losses/u2pl_contrastive.py`). Labels and entropies come from the clean view in eval
mode. Frames are mixed in half of the steps, as in the official code; on AEL in all, as AEL does.
"""

from __future__ import annotations

from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.mix_regions import cutmix
from edgeseg.methods.framework.pixel_selection import all_pixels, low_entropy_pixels
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.plugins import make_plugins


def u2pl(context: MethodContext) -> Method:
    """U2PL on CutMix."""
    return PseudoLabel(
        context,
        make_plugins(context),
        select=low_entropy_pixels(context.config.u2pl),
        mix_region=cutmix(context.mixing_chance()),
    )


def u2pl_ael(context: MethodContext) -> Method:
    """U2PL's contrastive loss on AEL, whose sampling and weights decide about pseudo-labels.

    The entropy parts reliable from unreliable pixels for L_c alone.
    """
    return PseudoLabel(
        context,
        make_plugins(context),
        select=all_pixels,
        mix_region=cutmix(context.mixing_chance()),
    )
