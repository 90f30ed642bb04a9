"""One module for each format that is written."""

__all__ = [
    "coco_writer",
    "cvat_writer",
    "label_studio_writer",
    "label_writer",
    "labelme_writer",
    "mask_writer",
    "yolo_writer",
]
