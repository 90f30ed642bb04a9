"""Baselines of the papers' tables: small, faithful to the core idea, simplified elsewhere."""
