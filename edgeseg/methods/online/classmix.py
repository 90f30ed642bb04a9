"""ClassMix (Olsson et al., WACV 2021): half of a frame's classes are pasted into another frame.

All pixels weigh the same, by the share of them that the teacher is confident of; below four classes
a box takes the classes' place.
"""

from __future__ import annotations

from edgeseg.methods.framework import views
from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import weighted_by_confident_share
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.plugins import make_plugins

CONFIDENCE = 0.968


def classmix(context: MethodContext) -> Method:
    """A mean teacher with class-wise mixing."""
    return PseudoLabel(
        context,
        make_plugins(context),
        select=weighted_by_confident_share(context.confidence_threshold(CONFIDENCE)),
        mix_region=views.classmix(context.config.cutmix),
    )
