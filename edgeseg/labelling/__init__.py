"""The person in the loop: what to label next, what to start from, a look at all, the pages."""

__all__ = [
    "browse",
    "drafts",
    "frame_images",
    "frame_marks",
    "json_lines",
    "page",
    "starting_masks",
    "worth",
]
