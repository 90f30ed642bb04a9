"""Segmentation metrics in numpy, the same for site model, edge model, INT8 file and device."""

from edgeseg.metrics.boundary import near_boundary
from edgeseg.metrics.calibration_error import Reliability, expected_calibration_error
from edgeseg.metrics.confusion import (
    Counts,
    confusion_matrix,
    iou,
    iou_of_shown,
    miou,
    miou_of_each,
    pixel_agreement,
)
from edgeseg.metrics.intervals import (
    Blocks,
    MiouGain,
    MiouInterval,
    block_length,
    frames_needed,
    iou_margins,
    mean_gain_interval,
    mean_miou_interval,
    miou_interval,
    paired_bootstrap,
)
from edgeseg.metrics.student_t import student_t_quantile
from edgeseg.metrics.verdict import explain_doubt, format_class_iou, format_interval

__all__ = [
    "Blocks",
    "Counts",
    "MiouGain",
    "MiouInterval",
    "Reliability",
    "block_length",
    "confusion_matrix",
    "expected_calibration_error",
    "explain_doubt",
    "format_class_iou",
    "format_interval",
    "frames_needed",
    "iou",
    "iou_margins",
    "iou_of_shown",
    "mean_gain_interval",
    "mean_miou_interval",
    "miou",
    "miou_interval",
    "miou_of_each",
    "near_boundary",
    "paired_bootstrap",
    "pixel_agreement",
    "student_t_quantile",
]
