"""The shapes of a site's frames beside the one that networks see, and a size that fits them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from threading import Event

from edgeseg.config import FitMode
from edgeseg.errors import SourceError
from edgeseg.runtime.sources.open_source import open_source
from edgeseg.site import Frame

TOLERANCE = 1.15  # a side scaled so much more than the other is hardly seen and learnt around
PATCH = 14  # pixels of DINOv2's patches, of which sides are multiples; elsewhere it is 32
LARGEST_SIDE = 2048
Size = tuple[int, int]


def first_frame_size(address: str) -> Size:
    """Return (height, width) of the first frame of a camera, a stream, a video or pictures.

    Raises:
        SourceError: There is none.
    """
    source = open_source(address)
    try:
        frame = next(source.frames(Event()), None)
    finally:
        source.close()
    if frame is None:
        raise SourceError(f"{source.name} gives no frame; name a picture or a video that has some")
    return frame.image.shape[0], frame.image.shape[1]


def distortion(frame: Size, imgsz: Size) -> float:
    """Return how much more one side of a frame is scaled than the other, at least 1.

    A frame of 1080 x 1920 in an input of 384 x 512 has 0.356 and 0.267: 1.33.
    """
    ratio = (frame[0] * imgsz[1]) / (frame[1] * imgsz[0])
    return max(ratio, 1 / ratio)


def fitting_size(frame: Size, imgsz: Size, encoder: str = "") -> Size:
    """Return the input for frames of a shape that costs about as much as `imgsz`.

    Of all sizes whose sides are multiples of 32, or of 14 where the network wants that, and whose
    pixels are within a quarter of those of `imgsz`, the one that distorts least; of several, the
    one nearest in pixels. For frames of 1920 x 1080 (height x width) and 384 x 512 it is 576 x 320.

    Args:
        frame: (height, width) of the frames.
        imgsz: (height, width) to compare with.
        encoder: Name of the encoder, if known: DINOv2 and others have patches of 14 pixels.
    """
    wanted, step = imgsz[0] * imgsz[1], _side_step(imgsz, encoder)
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


def shape_advice(frames: Sequence[Frame], imgsz: Size, fit: FitMode, encoder: str = "") -> str:
    """Return a sentence about frames whose shape `imgsz` does not have; empty if all is well.

    Of the frames in order of their aspect, one in twenty at either end is not looked at: a few odd
    pictures must not shape the input of all.

    Args:
        frames: All that are trained on.
        imgsz: (height, width) of the networks.
        fit: How frames come to it.
        encoder: As for `fitting_size`.
    """
    by_aspect = sorted((frame.width / frame.height, frame.height, frame.width) for frame in frames)
    odd = len(frames) // 20
    shapes = {(height, width) for _, height, width in by_aspect[odd : len(frames) - odd]}
    if not shapes:
        return ""
    worst = max(shapes, key=lambda shape: distortion(shape, imgsz))
    factor = distortion(worst, imgsz)
    if factor <= TOLERANCE:
        return ""
    lost = f"{100 * (1 - 1 / factor):.0f} %"
    consequence = {
        "stretch": f"with one side stretched {factor:.2f} times",
        "letterbox": f"with {lost} of it gray",
        "crop": f"without {lost} of their pixels",
    }[fit]
    text = (
        f"frames of {worst[1]}x{worst[0]} come to imgsz {imgsz[1]}x{imgsz[0]} (width x height) "
        f"{consequence}"
    )
    middle = _middle_shape(shapes)
    nearest = fitting_size(middle, imgsz, encoder)
    left = max(distortion(shape, nearest) for shape in shapes)
    if left > 0.95 * factor:
        if all(distortion(shape, worst) <= TOLERANCE for shape in shapes):
            return f"{text}; only a larger imgsz fits them better"
        return f"{text}; they differ in shape, and no imgsz fits them much better"
    fits = "fits them" if left <= TOLERANCE else f"comes nearest to all of them ({left:.2f})"
    where = "[train] and [distill]"
    if _side_step(imgsz, encoder) == PATCH:  # which few networks for devices have
        small = fitting_size(middle, (imgsz[0] // 32 * 32, imgsz[1] // 32 * 32))
        where = f"[train] and imgsz = [{small[0]}, {small[1]}] in [distill]"
    return (
        f"{text}; imgsz = [{nearest[0]}, {nearest[1]}] in {where} of edgeseg.toml {fits} at the "
        "same cost"
    )


def _side_step(imgsz: Size, encoder: str) -> int:
    """Return what the sides of a network's input are multiples of."""
    is_patched = any(side % 32 for side in imgsz) and not any(side % PATCH for side in imgsz)
    return PATCH if "patch14" in encoder or is_patched else 32


def _middle_shape(shapes: Collection[Size]) -> Size:
    """Return a shape whose aspect is as far from the widest as from the narrowest.

    Of 16:9 (1.78) and 4:3 (1.33) that is an aspect of sqrt(1.78 * 1.33) = 1.54.
    """
    aspects = [width / height for height, width in shapes]
    return 1000, max(1, round(1000 * math.sqrt(min(aspects) * max(aspects))))
