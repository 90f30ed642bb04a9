"""OpenVINO as an optional back end on CPUs: models that are compiled and checked once, and kept."""

__all__ = ["library", "openvino_runner"]
