"""What a frame belongs to, for the balance of labels: camera, recording, light, hours of the day.

Footage knows the seconds since its beginning and no clock; frames that came home in logs do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path, PurePath

from edgeseg.data.blocks import recording_of
from edgeseg.imaging.file_names import is_image
from edgeseg.labelling.worth.label_ranking import Group
from edgeseg.labelling.worth.pixel_features import DARK, Floats, lightness_of
from edgeseg.site import Frame, Site, read_clock_times

HOURS = 6  # of a part of the day


def group_frames(site: Site, frames: Sequence[Frame], pixels: Floats) -> list[tuple[Group, ...]]:
    """Return what each frame belongs to, the widest group first.

    Args:
        site: The site.
        frames: N frames.
        pixels: (N, PIXEL_FEATURES) of them.
    """
    clock = read_clock_times(site) if any(frame.origin == "log" for frame in frames) else {}
    grouped = []
    for frame, lightness in zip(frames, lightness_of(pixels) if len(frames) else (), strict=True):
        light = "dark" if lightness < DARK else "bright"
        groups: list[Group] = [("camera", frame.camera), ("light", frame.camera, light)]
        if frame.id in clock:
            begin = datetime.fromtimestamp(clock[frame.id], timezone.utc).hour // HOURS * HOURS
            groups.append(("hours", frame.camera, f"{begin} and {begin + HOURS}"))
        elif not is_image(Path(frame.source)):
            # Folders of pictures say nothing: labelled ones often lie in one of their own.
            camera, source = recording_of(frame)
            groups.append(("recording", camera, PurePath(source).name))
        grouped.append(tuple(groups))
    return grouped
