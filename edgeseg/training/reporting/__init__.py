"""What comes out of a training: pictures of val while it runs, the weights that ship, a page."""

__all__ = ["frames_read", "run_record", "shipped_weights", "step_pace", "val_pictures"]
