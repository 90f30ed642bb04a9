"""ClassMix (Olsson et al., WACV 2021): half of a frame's classes are pasted into another frame.

It mixes in every step. All pixels weigh the same, by the share of them whose confidence reaches
`confidence`; below four classes a box takes the classes' place.
"""

from __future__ import annotations

from edgeseg.methods.framework import mix_regions
from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import weighted_by_confident_share
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.plugins import make_plugins


def classmix(context: MethodContext) -> Method:
    """A mean teacher with class-wise mixing."""
    return PseudoLabel(
        context,
        make_plugins(context),
        select=weighted_by_confident_share(context.confidence_threshold()),
        mix_region=mix_regions.classmix(context.mixing_chance()),
    )
