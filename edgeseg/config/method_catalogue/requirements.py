"""What methods and plug-ins need of a site and of each other."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.config.method_catalogue.catalogue import (
    CATALOGUE,
    NO_REPRESENTATION,
    NO_STRONG_VIEW,
    PASTING,
)
from edgeseg.errors import TrainError


def check_method(name: str, plugins: Sequence[str], classes: int) -> None:
    """Refuse a method or plug-ins that cannot work on a site with this number of classes.

    Raises:
        TrainError: they cannot; the message has the reason and what to take instead.
    """
    info = CATALOGUE[name]
    if classes < info.classes:
        reason = (
            ": with two a fuzzy positive is the plain pseudo-label"
            if name.startswith("fpl")
            else ""
        )
        raise TrainError(
            f"{name} needs at least {info.classes} classes and the site has {classes}{reason}; "
            f"take cps_cutmix or u2pl"
        )
    if plugins and not info.plugins:
        hosts = ", ".join(host for host, facts in CATALOGUE.items() if facts.plugins)
        raise TrainError(
            f"plug-ins work on online pseudo-labels, which {name} has not; leave them out or "
            f"take {hosts}"
        )
    if "fpl" in plugins and classes < 3:
        raise TrainError(
            "the plug-in fpl needs at least 3 classes: with two it is the plain cross-entropy; "
            "leave it out"
        )
    pasting = [plugin for plugin in plugins if plugin in PASTING]
    if pasting and name in NO_STRONG_VIEW:
        raise TrainError(
            f"the plug-in {pasting[0]} pastes into strong views and {name} has no strong view; "
            f"take cutmix_mt"
        )
    if "u2pl_contrast" in plugins and name in NO_REPRESENTATION:
        raise TrainError(
            f"the plug-in u2pl_contrast needs representations, which {name} does not form; take "
            f"u2pl"
        )
