"""CutMix-Seg (French et al., 2020): a mean teacher whose student sees two frames mixed by a box.

With hard labels instead of the squared error (methods.md 2.0); with `confidence`, labels below it
are ignored.
"""

from __future__ import annotations

from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import confident
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.framework.views import cutmix
from edgeseg.methods.plugins import plugins


def cutmix_mt(kit: MethodContext) -> Method:
    """Cross-entropy on the teacher's labels of the mixed view."""
    return PseudoLabel(
        kit, plugins(kit), select=confident(kit.confidence()), region=cutmix(kit.config.cutmix)
    )
