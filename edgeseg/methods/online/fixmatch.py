"""FixMatch for segmentation (Sohn et al., 2020), the method that UniMatch extends.

The student's own confident labels of the clean frame are its targets on the strong view.
"""

from __future__ import annotations

from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import confident_pixels
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.framework.views import cutmix
from edgeseg.methods.plugins import make_plugins

CONFIDENCE = 0.95


def fixmatch(context: MethodContext) -> Method:
    """One strong view; `teacher = "ema"` lets the average label instead."""
    return PseudoLabel(
        context,
        make_plugins(context),
        select=confident_pixels(context.confidence_threshold(CONFIDENCE)),
        mix_region=cutmix(context.config.cutmix),
        target_source="self",
    )
