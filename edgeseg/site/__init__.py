"""A site: the folder of a deployment, its frames, and how people call them."""

from edgeseg.site.frame import HELD_OUT, SPLITS, Frame, FrameOrigin, Split
from edgeseg.site.frame_names import FrameNames, clock_text, read_clock_times
from edgeseg.site.run_folders import make_run_folder
from edgeseg.site.site_folder import Site

__all__ = [
    "HELD_OUT",
    "SPLITS",
    "Frame",
    "FrameNames",
    "FrameOrigin",
    "Site",
    "Split",
    "clock_text",
    "make_run_folder",
    "read_clock_times",
]
