"""Methods that make their pseudo-labels anew in every step, and the supervised floor."""

__all__ = [
    "ael",
    "classmix",
    "cps",
    "cutmix_mt",
    "fixmatch",
    "mean_teacher",
    "psmt",
    "suponly",
    "u2pl",
    "ucc",
    "unimatch",
    "unimatch_v2",
]
