"""The names of frames for people: which camera, and when, or where in its source.

    yard, 2026-03-04 12:05:33 UTC        came home in a frame log of a device with a set clock
    yard, start 3 of box-7 at 0:21:07    of one without: the time since it was switched on
    yard, clip.mp4 at 1:30               from a video
    yard, tuesday/0007.jpg               from a picture

Ids stay what addresses, files and other programs use.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from edgeseg.imaging.file_names import is_image
from edgeseg.site.frame import Frame
from edgeseg.site.json_lines import finite_number, read_json_lines
from edgeseg.site.site_folder import Site

LATEST = 253402300799.0  # seconds since 1970 at the end of the year 9999


class FrameNames:
    """The names of a site's frames; the clocks of devices are read when the first one asks."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._clock: dict[str, float] | None = None

    def of(self, frame: Frame) -> str:
        """Return a frame's name."""
        return f"{frame.camera}, {self._moment(frame)}"

    def clock(self, frame: Frame) -> float | None:
        """Return when a frame was taken, in seconds since 1970; None where nobody knows."""
        if frame.origin != "log":
            return None
        if self._clock is None:
            self._clock = read_clock_times(self._site)
        return self._clock.get(frame.id)

    def _moment(self, frame: Frame) -> str:
        if (seconds := self.clock(frame)) is not None:
            return clock_text(seconds)
        source = Path(frame.source.replace("\\", "/"))
        if frame.origin == "log":
            device, _, boot = frame.source.rpartition(":")
            start = int(boot) if boot.isdecimal() else boot
            return f"start {start} of {device} at {_offset(frame.time)}"
        if is_image(source):
            return "/".join(part for part in source.parts[-2:] if part not in ("/", "."))
        return f"{source.name or frame.source} at {_offset(frame.time)}"


def clock_text(seconds: float) -> str:
    """Return a time as people write it: 1772625933 is "2026-03-04 12:05:33 UTC"."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def read_clock_times(site: Site) -> dict[str, float]:
    """Return the device's clock, seconds since 1970, by frame id, where it was synchronized."""
    times: dict[str, float] = {}
    # Damaged lines are passed over: the round that reads them says so.
    for entry in read_json_lines(site.root / "rounds" / "records.jsonl"):
        seconds = finite_number(entry, "time")
        if entry.get("clock_synced") and "frame" in entry and seconds is not None:
            times[str(entry["frame"])] = min(max(0.0, seconds), LATEST)
    return times


def _offset(seconds: float) -> str:
    """Return a time since the start of a source: 90.5 is "1:30.5", 3661 is "1:01:01"."""
    tenths = round(seconds * 10)
    whole, tenth = divmod(tenths, 10)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{text}.{tenth}" if tenth else text
