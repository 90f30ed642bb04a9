"""Frames, masks and splits of a site, as training reads them; `ingest` takes them in."""

__all__ = [
    "augment",
    "batch_loader",
    "blocks",
    "class_pixels",
    "cutmix",
    "frame_cache",
    "frame_reader",
    "frame_shapes",
    "ingest",
    "label_formats",
    "propagation",
    "site_depth",
    "site_needs",
    "site_summary",
]
