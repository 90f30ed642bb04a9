"""What several commands share: their options, the site and bundle they use, and the console."""

__all__ = [
    "bundle_options",
    "console",
    "interruption",
    "mask_options",
    "options",
    "other_habits",
    "presets",
    "terminal_text",
]
