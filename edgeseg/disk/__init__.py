"""What disks do to files: names that libraries cannot take, sites that move, calls that fail."""

__all__ = ["faults", "library_paths", "stored_paths"]
