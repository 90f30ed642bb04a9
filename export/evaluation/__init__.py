"""Evaluation of an export on the val frames: parity with torch, thresholds, latency and gates."""

__all__ = [
    "figures",
    "gates",
    "latency",
    "library_verdicts",
    "ort_session",
    "parity",
    "site_frames",
    "thresholds",
]
