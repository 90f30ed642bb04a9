"""The renderer of the synthetic river: frames with exact masks for any time, weather, season and
place of the camera.

`scene.Scene.render` is the way in. The world (`site_plan`, `world`, `solids`) is met by the
camera's rays (`camera_view`), lit (`lighting`, `materials`, `sky`, `water`, `boat`), and turned
into a picture by the camera's sensor (`camera_sensor`).
"""

__all__ = ["camera_view", "lighting", "materials", "scene"]
