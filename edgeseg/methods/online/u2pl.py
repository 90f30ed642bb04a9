"""U2PL (Wang et al., CVPR 2022, arXiv 2203.03884): L_s + lambda_u L_u + lambda_c L_c (eq. 1).

Reliable pixels, those of low entropy, are pseudo-labels; the others still tell a contrastive loss
which classes they are not (`plugins/u2pl_contrast.py`). Labels and entropies come from the clean
view in eval mode.
"""

from __future__ import annotations

from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import everything, reliable
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.framework.views import cutmix
from edgeseg.methods.plugins import plugins


def u2pl(kit: MethodContext) -> Method:
    """On CutMix."""
    return PseudoLabel(
        kit,
        plugins(kit, ["u2pl_contrast"]),
        select=reliable(kit.config.u2pl),
        region=cutmix(kit.config.cutmix),
    )


def u2pl_ael(kit: MethodContext) -> Method:
    """On AEL, whose own sampling and weights decide about pseudo-labels; entropy splits pixels for
    L_c alone.
    """
    return PseudoLabel(
        kit,
        plugins(kit, ["ael", "u2pl_contrast"]),
        select=everything,
        region=cutmix(kit.config.cutmix),
    )
