"""The choice of the file of a bundle that a back end runs."""

from __future__ import annotations

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, FP32, Backend, Flavour, flavours_of
from edgeseg.errors import WrongFlavourError
from edgeseg.runtime.backends.base import PrecisionChoice


def choose_flavour(
    bundle: Bundle, backend: Backend, precision: PrecisionChoice | Flavour
) -> Flavour:
    """Return the flavour of the bundle that `backend` should run at `precision`.

    Raises:
        WrongFlavourError: The bundle brings no such file, or it is for other back ends.
    """
    usable = flavours_of(backend)
    if precision == "auto":
        for flavour in usable:
            slower = FLAVOURS[flavour].auto_needs_speedup and bundle.speedup(flavour) < 1
            if bundle.holds(flavour) and not slower:
                return flavour
        return FP32
    named = [flavour for flavour in FLAVOURS if precision in (flavour, FLAVOURS[flavour].precision)]
    runnable = [flavour for flavour in named if flavour in usable]
    if not runnable:
        raise WrongFlavourError(
            f"{bundle.path} cannot run {precision} on {backend}, which runs "
            f"{', '.join(reversed(usable))}; choose another --precision or --backend"
        )
    flavour = runnable[0]
    if not bundle.holds(flavour):
        others = [other for other in named if bundle.holds(other)]
        hint = f" (its {FLAVOURS[others[0]].file} is made for another engine)" if others else ""
        raise WrongFlavourError(
            f"{bundle.path} holds no {FLAVOURS[flavour].file}{hint}; export it again with "
            f"{FLAVOURS[flavour].export_option}, or use --precision fp32"
        )
    return flavour
