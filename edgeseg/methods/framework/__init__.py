"""The parts of training methods: base classes, targets, views, pixel selection and plug-ins."""

__all__ = [
    "ema",
    "feature_perturbation",
    "method",
    "mix_regions",
    "online_method",
    "pixel_selection",
    "plugin",
    "pseudo_label_method",
    "schedule",
    "staged_method",
    "views",
]
