"""FixMatch for segmentation (Sohn et al., 2020), the method that UniMatch extends.

The student's own labels of the clean frame are its targets on the strong view, mixed as UniMatch
mixes. Unless `confidence` says another, all labels count (see `unimatch.py`).
"""

from __future__ import annotations

from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.mix_regions import cutmix_by_frame
from edgeseg.methods.framework.pixel_selection import confident_pixels
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.plugins import make_plugins


def fixmatch(context: MethodContext) -> Method:
    """One strong view; `teacher = "ema"` lets the average label instead."""
    return PseudoLabel(
        context,
        make_plugins(context),
        select=confident_pixels(context.confidence_threshold()),
        mix_region=cutmix_by_frame(context.mixing_chance()),
        target_source="self",
    )
