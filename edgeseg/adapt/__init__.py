"""Adaptation: rounds, gate and everything that closes the loop."""
