"""CutMix-Seg (French et al., 2020): a mean teacher whose student sees two frames mixed by a box.

It mixes in every step, and learns hard labels instead of minimizing the paper's squared error; with
`confidence`, labels below it are ignored.
"""

from __future__ import annotations

from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.mix_regions import cutmix
from edgeseg.methods.framework.pixel_selection import confident_pixels
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.plugins import make_plugins


def cutmix_mt(context: MethodContext) -> Method:
    """Cross-entropy on the teacher's labels of the mixed view."""
    return PseudoLabel(
        context,
        make_plugins(context),
        select=confident_pixels(context.confidence_threshold()),
        mix_region=cutmix(context.mixing_chance()),
    )
