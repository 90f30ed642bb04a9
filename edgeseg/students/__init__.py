"""Choosing the edge network of a site: speed, accuracy at one budget, and the frontier of both."""

__all__ = ["budget", "candidates", "frontier", "page", "speed", "trials"]
