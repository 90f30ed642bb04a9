"""The shapes of a site's frames beside the one that networks see, and a size that fits them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from edgeseg.config import FitMode
from edgeseg.site import Frame

TOLERANCE = 1.15  # a side scaled so much more than the other is hardly seen and learnt around
MULTIPLES = (32, 14)  # of both sides: of most networks, of DINOv2
LARGEST_SIDE = 2048
Size = tuple[int, int]


def distortion(frame: Size, imgsz: Size) -> float:
    """Return how much more one side of a frame is scaled than the other, at least 1.

    A frame of 1080 x 1920 in an input of 384 x 512 has 0.356 and 0.267: 1.33.
    """
    ratio = (frame[0] * imgsz[1]) / (frame[1] * imgsz[0])
    return max(ratio, 1 / ratio)


def fitting_size(frame: Size, imgsz: Size) -> Size:
    """Return the input for frames of a shape that costs about as much as `imgsz`.

    Of all sizes whose sides are multiples of 32, as those of `imgsz` are, and whose pixels are
    within a quarter of those of `imgsz`, the one that distorts least; of several, the one nearest
    in pixels. For frames of 1920 x 1080 (height x width) and 384 x 512 it is 576 x 320.
    """
    wanted = imgsz[0] * imgsz[1]
    step = next((step for step in MULTIPLES if all(side % step == 0 for side in imgsz)), 32)
    best, best_cost = imgsz, (math.inf, math.inf)
    for height in range(step, LARGEST_SIDE + 1, step):
        for width in range(step, LARGEST_SIDE + 1, step):
            difference = abs(math.log(height * width / wanted))
            if difference > math.log(1.25):
                continue
            # 2 % of distortion are nothing: among such sizes the pixels decide.
            cost = max(0.02, math.log(distortion(frame, (height, width)))), difference
            if cost < best_cost:
                best, best_cost = (height, width), cost
    return best


def shape_advice(frames: Sequence[Frame], imgsz: Size, fit: FitMode) -> str:
    """Return a sentence about frames whose shape `imgsz` does not have; empty if all is well.

    Args:
        frames: All that are trained on.
        imgsz: (height, width) of the networks.
        fit: How frames come to it.
    """
    shapes = Counter((frame.height, frame.width) for frame in frames)
    off = {shape for shape in shapes if distortion(shape, imgsz) > TOLERANCE}
    if not off:
        return ""
    (most, _), worst = shapes.most_common(1)[0], max(off, key=lambda one: distortion(one, imgsz))
    fitting = fitting_size(most, imgsz)
    fits_all = all(distortion(shape, fitting) <= TOLERANCE for shape in shapes)
    text = (
        f"frames of {worst[1]}x{worst[0]} come to imgsz {imgsz[1]}x{imgsz[0]} (width x height) "
        + {
            "stretch": f"with one side stretched {distortion(worst, imgsz):.2f} times",
            "letterbox": f"with {100 * (1 - 1 / distortion(worst, imgsz)):.0f} % of it gray",
            "crop": f"without {100 * (1 - 1 / distortion(worst, imgsz)):.0f} % of their pixels",
        }[fit]
    )
    if fits_all:
        return (
            f"{text}; imgsz = [{fitting[0]}, {fitting[1]}] in [train] and [distill] of "
            "edgeseg.toml fits them at the same cost"
        )
    if fit == "stretch":
        return f'{text}, and they differ in shape; data.fit = "letterbox" keeps their shapes'
    return f"{text}, and they differ in shape, so that no imgsz fits all"
