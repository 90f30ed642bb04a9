"""Baselines of the papers' tables: small, faithful to the core idea, simplified elsewhere."""

__all__: list[str] = []

__all__ = [
    "advssl",
    "cac",
    "cct",
    "discriminator",
    "dmt",
    "dsbn",
    "ecs",
    "gct",
    "pc2seg",
    "pseudoseg",
    "s4gan",
    "s4l",
]
