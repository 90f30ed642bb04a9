"""The order of labels for val and gate: evenly spread, whatever a model makes of the frames.

Frames chosen because a model fails on them would say that it fails: a figure is fair only if the
frames it rests on were chosen without a look at the model.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.labelling.worth.queued_frame import QueuedFrame
from edgeseg.site import HELD_OUT, Frame, Site

EVEN = "evenly spread, so that val and gate judge what the camera sees"


def order_judging_frames(site: Site, frames: Sequence[Frame]) -> list[QueuedFrame]:
    """Return frames so that any first few are spread over cameras and time."""
    counts = {camera: 0 for camera in sorted({frame.camera for frame in frames})}
    for frame in site.frames(*HELD_OUT):
        if frame.camera in counts:
            counts[frame.camera] += 1
    waiting = {
        camera: spread_order([frame for frame in frames if frame.camera == camera])
        for camera in counts
    }
    queue: list[QueuedFrame] = []
    while waiting:
        camera = min(waiting, key=lambda name: (counts[name], name))
        frame = waiting[camera].pop(0)
        lacking = () if counts[camera] else (f"no val or gate label of camera {camera} yet",)
        queue.append(QueuedFrame(frame.id, round(1 / (1 + len(queue)), 4), (*lacking, EVEN)))
        counts[camera] += 1
        if not waiting[camera]:
            del waiting[camera]
    return queue


def spread_order(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames in an order of which any first few lie far apart in time.

    Of 8 frames: 0 4 2 6 1 5 3 7, the bits of a counter read backwards.
    """
    ordered = sorted(frames, key=lambda frame: (frame.camera, frame.source, frame.time, frame.id))
    bits = max(1, (len(ordered) - 1).bit_length())
    mirrored = (int(f"{count:0{bits}b}"[::-1], 2) for count in range(1 << bits))
    return [ordered[place] for place in mirrored if place < len(ordered)]
