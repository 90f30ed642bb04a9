"""Plug-ins by name: ideas that can be added to any method with online pseudo-labels."""

from __future__ import annotations

from collections.abc import Callable

from edgeseg.config.method_catalogue import parts_of
from edgeseg.methods.framework.method import MethodContext
from edgeseg.methods.framework.plugin import Plugin
from edgeseg.methods.plugins.ael import AEL
from edgeseg.methods.plugins.augseg import AugSeg
from edgeseg.methods.plugins.corrmatch import CorrMatch
from edgeseg.methods.plugins.dacs import DACS
from edgeseg.methods.plugins.fpl import FPL
from edgeseg.methods.plugins.prevmatch import PrevMatch
from edgeseg.methods.plugins.u2pl_contrast import U2PLContrast

PLUGINS: dict[str, Callable[[MethodContext], Plugin]] = {
    "u2pl_contrast": U2PLContrast,
    "fpl": FPL,
    "ael": AEL,
    "augseg": AugSeg,
    "dacs": DACS,
    "prevmatch": PrevMatch,
    "corrmatch": CorrMatch,
}


def make_plugins(context: MethodContext) -> list[Plugin]:
    """Make the plug-ins that the method brings along, then those that the user added."""
    names = parts_of(context.config.method, context.config.plugins)
    return [PLUGINS[name](context) for name in names]


__all__ = [
    "ael",
    "augseg",
    "corrmatch",
    "dacs",
    "fpl",
    "make_plugins",
    "prevmatch",
    "u2pl_contrast",
]
