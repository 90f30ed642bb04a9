"""The person in the loop: which frame to label next, what to start from, and the page."""

__all__ = ["drafts", "frame_images", "frame_marks", "json_lines", "page", "starting_masks", "worth"]
