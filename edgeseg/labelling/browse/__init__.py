"""A look at the frames of a site: what is known about each, filters, order, and their stories."""

from edgeseg.labelling.browse.frame_query import (
    LIST_CHOICES,
    SINGLE_NAMES,
    FrameQuery,
    Sort,
    parse_moment,
)
from edgeseg.labelling.browse.frame_story import frame_story
from edgeseg.labelling.browse.site_frames import SiteFrames, open_site_frames

__all__ = [
    "LIST_CHOICES",
    "SINGLE_NAMES",
    "FrameQuery",
    "SiteFrames",
    "Sort",
    "frame_story",
    "open_site_frames",
    "parse_moment",
    "training_reads",
]
