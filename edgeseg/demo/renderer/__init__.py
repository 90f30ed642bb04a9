"""renderer."""

__all__ = ["camera_view", "lighting", "scene"]
