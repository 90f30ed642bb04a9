"""Evaluation of an export on the val frames: parity with torch, thresholds, latency and gates."""
