"""One module for each format that is read; each has its `FORMAT`."""

__all__ = [
    "cityscapes",
    "coco",
    "coco_panoptic",
    "color_masks",
    "cvat_images",
    "datumaro",
    "label_studio",
    "labelme",
    "mask_folders",
    "roboflow",
    "supervisely",
    "yolo",
]
