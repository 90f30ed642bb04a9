"""Images with their masks: two folders whose files have the same names."""

from __future__ import annotations

import os
from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.imaging.file_names import is_image, natural_sort_key


def pair_files(images: Path, masks: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Images with their masks in natural order, and a fault for each file without partner.

    Raises:
        DataError: a folder is missing, both are the same, or there are no images.
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
            f"images and masks are both in {images}; put the masks into a folder of their own, under the same names"
        )
    faults: list[str] = []
    pictures = _by_stem(images, masks, faults)
    labels = _by_stem(masks, images, faults)
    if not pictures:
        raise DataError(
            f"{images} holds no images; name the folder of the images, then the folder of the masks"
        )
    for stem in sorted(pictures.keys() ^ labels.keys(), key=natural_sort_key):
        if stem in pictures:
            faults.append(f"{pictures[stem]}: has no mask of the same name in {masks}")
        else:
            faults.append(f"{labels[stem]}: has no image of the same name in {images}")
    return [
        (pictures[stem], labels[stem])
        for stem in sorted(pictures.keys() & labels.keys(), key=natural_sort_key)
    ], faults


def _by_stem(folder: Path, other: Path, faults: list[str]) -> dict[Path, Path]:
    found: dict[Path, Path] = {}
    for root, folders, names in os.walk(folder):
        here = Path(root)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and (here / name).resolve() != other.resolve()
        ]
        for path in sorted(
            here / name for name in names if not name.startswith(".") and is_image(Path(name))
        ):
            stem = path.relative_to(folder).with_suffix("")
            if stem in found:
                faults.append(f"{path}: has the same name as {found[stem].name}; keep one of them")
            found.setdefault(stem, path)
    return found
