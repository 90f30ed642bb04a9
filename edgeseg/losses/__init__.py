"""Losses: pure functions, one file per idea."""
