"""The device side, free of torch: sources of frames, back ends, outputs and the frame log."""

__all__ = [
    "backends",
    "benchmark",
    "bundle_evaluation",
    "framelog",
    "inference",
    "inference_metrics",
    "outputs",
    "pipeline",
    "sources",
    "written_formats",
]
