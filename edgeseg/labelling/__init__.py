"""The person in the loop: which frame to label next, and what to start from."""

__all__ = ["frame_images", "frame_marks", "starting_masks", "worth"]
