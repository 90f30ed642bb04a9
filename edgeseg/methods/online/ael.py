"""AEL (Hu et al., NeurIPS 2021, arXiv 2110.05474): a mean teacher that spends more of everything on
bad classes.

All of it is the plug-in `plugins/ael.py`. FPL on AEL replaces the cross-entropy and keeps the rest.
"""

from __future__ import annotations

from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import confident
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.plugins import plugins


def ael(kit: MethodContext) -> Method:
    """Adaptive CutMix, copy-paste, equalization sampling and re-weighting on a mean teacher."""
    return PseudoLabel(kit, plugins(kit, ["ael"]), select=confident(kit.confidence()))


def fpl_ael(kit: MethodContext) -> Method:
    """With fuzzy positives (Qiao et al., CVPR 2023)."""
    return PseudoLabel(kit, plugins(kit, ["ael", "fpl"]), select=confident(kit.confidence()))
