"""Images with their masks: two folders whose files have the same names, or names by a pattern."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeseg.data.ingest.pair_names import PairNames, propose_names
from edgeseg.errors import DataError
from edgeseg.imaging.file_names import is_image, natural_sort_key


@dataclass(frozen=True, kw_only=True)
class PairedFiles:
    """Images with their masks.

    Attributes:
        pairs: Image and mask, in natural order.
        faults: "file: reason" for each file without partner, unless it is merely not labelled.
        notes: Sentences on files that were left out.
    """

    pairs: list[tuple[Path, Path]]
    faults: list[str]
    notes: list[str]


def pair_files(images: Path, masks: Path, names: PairNames | None = None) -> PairedFiles:
    """Find images and masks, and put together those whose names belong together.

    Images without a mask are not labelled, which is no fault where every mask has its image.

    Args:
        images, masks: Two folders, or two files.
        names: What belongs together; by default the same path below both folders, without suffix.

    Raises:
        DataError: A folder is missing, both are the same, or there are no images.
    """
    names = names or PairNames()
    for path in (images, masks):
        if not path.exists():
            raise DataError(f"{path} does not exist; name the images, then the masks")
    if images.is_file() and masks.is_file():
        return PairedFiles(pairs=[(images, masks)], faults=[], notes=[])
    if not images.is_dir() or not masks.is_dir():
        raise DataError(f"{images} and {masks} must both be folders, or both be files")
    if images.resolve() == masks.resolve() and names.image == names.mask:
        raise DataError(
            f"images and masks are both in {images}; put the masks into a folder of their own, "
            "under the same names, or tell them apart by name, such as --mask-name {}_mask"
        )
    image_files, mask_files = _files_by_stem(images, masks), _files_by_stem(masks, images)
    faults: list[str] = []
    mask_of = _by_key(mask_files, names.mask_key, faults)
    if images.resolve() == masks.resolve():
        image_files = [(stem, path) for stem, path in image_files if path not in mask_of.values()]
    image_of = _by_key(image_files, names.image_key, faults)
    if not image_of:
        raise DataError(
            f"{images} holds no images; name the folder of the images, then the folder of the masks"
        )
    without_mask = sorted(image_of.keys() - mask_of.keys(), key=natural_sort_key)
    without_image = sorted(mask_of.keys() - image_of.keys(), key=natural_sort_key)
    cure = ""
    if without_mask and without_image:
        stems = [stem for stem, _ in image_files], [stem for stem, _ in mask_files]
        proposed = propose_names(*stems, names)
        example = f"{image_of[without_mask[0]]} wants {names.mask_path(masks, without_mask[0])}"
        cure = f"; {proposed}" if proposed else f" ({example})"
    paired = sorted(image_of.keys() & mask_of.keys(), key=natural_sort_key)
    are_unlabelled = bool(paired) and not without_image
    if not are_unlabelled:
        faults += [
            f"{image_of[key]}: has no mask of the same name in {masks}{cure}"
            for key in without_mask
        ]
    faults += [
        f"{mask_of[key]}: has no image of the same name in {images}{cure}" for key in without_image
    ]
    left_out = len(image_files) + len(mask_files) - len(image_of) - len(mask_of)
    notes = []
    if without_mask and are_unlabelled:
        notes.append(
            f"{len(without_mask)} image(s) have no mask of the same name and were left out"
        )
    if left_out and names != PairNames() and not faults:
        notes.append(f"{left_out} file(s) whose names do not fit the patterns were left out")
    return PairedFiles(
        pairs=[(image_of[key], mask_of[key]) for key in paired], faults=faults, notes=notes
    )


def _files_by_stem(folder: Path, other_folder: Path) -> list[tuple[Path, Path]]:
    """Find the images below a folder, but not below the other one: (stem, file), in order.

    The stem of `images/east/7.png` in `images` is `east/7`.
    """
    files: list[tuple[Path, Path]] = []
    for root, folders, names in os.walk(folder):
        parent = Path(root)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and (parent / name).resolve() != other_folder.resolve()
        ]
        image_names = [name for name in names if not name.startswith(".") and is_image(Path(name))]
        files += [
            (path.relative_to(folder).with_suffix(""), path)
            for path in sorted(parent / name for name in image_names)
        ]
    return files


def _by_key(
    files: list[tuple[Path, Path]], key_of: Callable[[Path], Path | None], faults: list[str]
) -> dict[Path, Path]:
    """Return files by what they are paired by; those that fit no pattern are left out."""
    by_key: dict[Path, Path] = {}
    for stem, path in files:
        key = key_of(stem)
        if key is None:
            continue
        if key in by_key:
            faults.append(f"{path}: has the same name as {by_key[key].name}; keep one of them")
        by_key.setdefault(key, path)
    return by_key
