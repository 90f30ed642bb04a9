"""ClassMix (Olsson et al., WACV 2021): the pixels of half of a frame's classes are pasted into
another frame.

All pixels weigh the same, by the share that the teacher is sure of; below four classes a box takes
the classes' place.
"""

from __future__ import annotations

from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import confident_share
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.framework.views import classmix as by_class
from edgeseg.methods.plugins import plugins

CONFIDENCE = 0.968


def classmix(kit: MethodContext) -> Method:
    """A mean teacher with class-wise mixing."""
    return PseudoLabel(
        kit,
        plugins(kit),
        select=confident_share(kit.confidence(CONFIDENCE)),
        region=by_class(kit.config.cutmix),
    )
