"""Losses as pure functions: one file for each paper or term, without optimizer or device."""

__all__ = [
    "ael_adaptive",
    "baselines",
    "consistency",
    "corrmatch_correlation",
    "cross_entropy",
    "distillation",
    "entropy",
    "fpl_fuzzy",
    "shared",
    "stpp_ranking",
    "u2pl_contrastive",
]
