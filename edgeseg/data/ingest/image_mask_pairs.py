"""Images with their masks: two folders whose files have the same names."""

from __future__ import annotations

import os
from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.imaging.file_names import is_image, natural_sort_key


def pair_files(images: Path, masks: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Return images with their masks in natural order, and a fault for each file without partner.

    Raises:
        DataError: A folder is missing, both are the same, or there are no images.
    """
    for path in (images, masks):
        if not path.exists():
            raise DataError(f"{path} does not exist; name the images, then the masks")
    if images.is_file() and masks.is_file():
        return [(images, masks)], []
    if not images.is_dir() or not masks.is_dir():
        raise DataError(f"{images} and {masks} must both be folders, or both be files")
    if images.resolve() == masks.resolve():
        raise DataError(
            f"images and masks are both in {images}; "
            "put the masks into a folder of their own, under the same names"
        )
    faults: list[str] = []
    image_of = _files_by_stem(images, masks, faults)
    mask_of = _files_by_stem(masks, images, faults)
    if not image_of:
        raise DataError(
            f"{images} holds no images; name the folder of the images, then the folder of the masks"
        )
    for stem in sorted(image_of.keys() ^ mask_of.keys(), key=natural_sort_key):
        if stem in image_of:
            faults.append(f"{image_of[stem]}: has no mask of the same name in {masks}")
        else:
            faults.append(f"{mask_of[stem]}: has no image of the same name in {images}")
    paired = sorted(image_of.keys() & mask_of.keys(), key=natural_sort_key)
    return [(image_of[stem], mask_of[stem]) for stem in paired], faults


def _files_by_stem(folder: Path, other_folder: Path, faults: list[str]) -> dict[Path, Path]:
    """Find the images below a folder, but not below the other one, by their stems.

    The stem of `images/east/7.png` in `images` is `east/7`.
    """
    files: dict[Path, Path] = {}
    for root, folders, names in os.walk(folder):
        parent = Path(root)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and (parent / name).resolve() != other_folder.resolve()
        ]
        image_names = [name for name in names if not name.startswith(".") and is_image(Path(name))]
        for path in sorted(parent / name for name in image_names):
            stem = path.relative_to(folder).with_suffix("")
            if stem in files:
                faults.append(f"{path}: has the same name as {files[stem].name}; keep one of them")
            files.setdefault(stem, path)
    return files
