"""What a training shows: pictures of val while it runs, and a page at its end."""

__all__ = ["run_record", "step_pace", "val_pictures"]
