"""A site: the folder of a deployment, its frames, and how people call them."""

from edgeseg.site.frame import HELD_OUT, SPLITS, Frame, FrameOrigin, Split
from edgeseg.site.frame_names import FrameNames, clock_text, read_clock_times
from edgeseg.site.json_lines import finite_number, read_json_lines
from edgeseg.site.run_folders import make_run_folder
from edgeseg.site.site_folder import SITE_FOLDERS, Site

__all__ = [
    "HELD_OUT",
    "SITE_FOLDERS",
    "SPLITS",
    "Frame",
    "FrameNames",
    "FrameOrigin",
    "Site",
    "Split",
    "clock_text",
    "finite_number",
    "make_run_folder",
    "read_clock_times",
    "read_json_lines",
]
