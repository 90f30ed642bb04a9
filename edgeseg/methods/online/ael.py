"""AEL (Hu et al., NeurIPS 2021, arXiv 2110.05474): a mean teacher for imbalanced classes.

Classes that are learned badly get more of everything. All of it is the plug-in `plugins/ael.py`;
FPL on AEL replaces the cross-entropy and keeps the rest.
"""

from __future__ import annotations

from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import confident_pixels
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.plugins import make_plugins


def ael(context: MethodContext) -> Method:
    """Adaptive CutMix, copy-paste, equalization sampling and re-weighting on a mean teacher."""
    select = confident_pixels(context.confidence_threshold())
    return PseudoLabel(context, make_plugins(context), select=select)


def fpl_ael(context: MethodContext) -> Method:
    """AEL with fuzzy positives (FPL, Qiao et al., CVPR 2023) in place of the cross-entropy."""
    select = confident_pixels(context.confidence_threshold())
    return PseudoLabel(context, make_plugins(context), select=select)
