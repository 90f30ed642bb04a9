"""FixMatch for segmentation (Sohn et al., 2020; the floor of UniMatch): the student's own confident
labels of the clean frame are what it shall say about the strong view."""

from __future__ import annotations

from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import confident
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.framework.views import cutmix
from edgeseg.methods.plugins import plugins

CONFIDENCE = 0.95


def fixmatch(kit: MethodContext) -> Method:
    """One strong view; `teacher = "ema"` lets the average label instead."""
    return PseudoLabel(
        kit,
        plugins(kit),
        select=confident(kit.confidence(CONFIDENCE)),
        region=cutmix(kit.config.cutmix),
        source="self",
    )
