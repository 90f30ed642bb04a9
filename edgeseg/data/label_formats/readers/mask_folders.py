"""Folders of images and of masks without names of classes: MMSegmentation, and most scripts.

`img_dir` beside `ann_dir`, `images` beside `masks`, and the like, with the same folders below.
Values and palettes of the masks are read by `edgeseg.data.ingest.masks`, which doubts them.
"""

from __future__ import annotations

from pathlib import Path

from edgeseg.data.label_formats.export_files import ExportFiles

# Names of the folder of images, and names of that of the masks beside it.
IMAGE_FOLDERS = ("img_dir", "images", "image", "imgs", "img", "JPEGImages", "frames")
MASK_FOLDERS = ("ann_dir", "masks", "mask", "labels", "label", "annotations", "SegmentationClass")


def find(files: ExportFiles) -> tuple[Path, Path] | None:
    """Return the folders of the images and of the masks, None if there are no such."""
    if files.is_one_file:
        return None
    folders = {files.root / part for path in files.files for part in files.relative(path).parents}
    for parent in sorted(folders, key=lambda path: (len(path.parts), str(path))):
        image = next((parent / name for name in IMAGE_FOLDERS if parent / name in folders), None)
        mask = next((parent / name for name in MASK_FOLDERS if parent / name in folders), None)
        if image and mask and any(path.suffix.lower() == ".png" for path in mask.rglob("*")):
            return image, mask
    return None
