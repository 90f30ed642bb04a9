"""Evaluation of an export on the val frames: parity with torch, thresholds, latency and gates."""

__all__ = ["figures", "gates", "latency", "ort_session", "parity", "site_frames", "thresholds"]
