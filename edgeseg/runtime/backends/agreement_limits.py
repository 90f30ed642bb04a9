"""How many pixels of the golden frames an engine must classify as FP32 did at export."""

from __future__ import annotations

import math

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Flavour, Precision

# Percent of the golden pixels that must come out as in FP32 at export. A right FP32 or FP16 engine
# (TensorRT computes FP32 with TF32's ten bits, as many as FP16 has) differs on pixels where two
# classes are all but equal, well below 0.5 %. A wrong one, with broken normalization or a misread
# layer, differs on tens of percent.
MINIMUM_AGREEMENT: dict[Precision, float] = {"fp32": 99.5, "fp16": 99.5, "int8": 98.0}
# An INT8 file that itself agreed less at export is held to that, less rounding that differs.
INT8_SLACK = 1.0
INT8_FLOOR = 90.0


def minimum_agreement(bundle: Bundle, flavour: Flavour) -> float:
    """Return the percentage of golden pixels that the engine of a file must get right."""
    figures = bundle.manifest.figures.get(flavour)
    at_export = figures.get("agreement") if isinstance(figures, dict) else None
    precision = FLAVOURS[flavour].precision
    least = MINIMUM_AGREEMENT[precision]
    if precision == "int8" and isinstance(at_export, (int, float)) and math.isfinite(at_export):
        return min(least, max(INT8_FLOOR, at_export - INT8_SLACK))
    return least
