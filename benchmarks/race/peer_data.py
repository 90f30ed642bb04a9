"""A data set as the peer reads it: links to the images, and masks as gray PNGs of class ids.

Ultralytics wants a mask beside each image, `masks/train/NAME.png` for `images/train/NAME.jpg`, with
255 where nothing is labelled. Palette PNGs are written anew, since some programs read their colors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from edgeseg.atomic_files import write_atomic
from edgeseg.errors import DataError
from edgeseg.imaging.mask_png import read_mask
from edgeseg.imaging.opencv import cv2

SPLITS = ("train", "val")


def convert_data_set(
    source: Path, target: Path, classes: Sequence[str], ignore: Collection[int]
) -> Path:
    """Write the data set once, and return its description.

    Args:
        source: Folder with images/{train,val} and labels/{train,val}.
        target: Where the peer's data set goes.
        classes: Their names by id.
        ignore: Label ids that mean "not labelled".

    Raises:
        DataError: A mask is missing, damaged or holds an id beyond the classes.
    """
    description = target / "data.yaml"
    if description.exists():
        return description
    for split in SPLITS:
        for kind in ("images", "masks"):
            (target / kind / split).mkdir(parents=True, exist_ok=True)
        for image in sorted((source / "images" / split).iterdir()):
            link = target / "images" / split / image.name
            if not link.is_symlink():
                link.symlink_to(image.resolve())
            label = source / "labels" / split / f"{image.stem}.png"
            convert_mask(label, target / "masks" / split / f"{image.stem}.png", classes, ignore)
    names = "".join(f"  {number}: {json.dumps(name)}\n" for number, name in enumerate(classes))
    text = f"path: {json.dumps(str(target.resolve()))}\n"
    text += "train: images/train\nval: images/val\nmasks_dir: masks\nnames:\n" + names
    write_atomic(description, text.encode())
    return description


def convert_mask(
    source: Path, target: Path, classes: Sequence[str], ignore: Collection[int]
) -> None:
    """Write a mask, palette or gray, as gray PNG of class ids with 255 for what is ignored.

    Raises:
        DataError: The mask is missing, damaged or holds an id beyond the classes.
    """
    mask = read_mask(source, ignore=ignore)
    highest = int(mask[mask != 255].max(initial=0))
    if highest >= len(classes):
        raise DataError(
            f"{source} holds class {highest}, but the classes are 0 to {len(classes) - 1}; "
            "correct the mask"
        )
    encoded, data = cv2.imencode(".png", mask)
    assert encoded
    write_atomic(target, data.tobytes(), sync=False)


def mirror_frames(source: Path, target: Path) -> Path:
    """Write the images of a folder mirrored, without further loss, into another one; return it."""
    target.mkdir(parents=True, exist_ok=True)
    for image in sorted(source.iterdir()):
        pixels = cv2.imread(str(image))
        if pixels is None:
            raise DataError(f"{image} is damaged or no image; restore it or take it out")
        cv2.imwrite(str(target / f"{image.stem}.png"), cv2.flip(pixels, 1))
    return target


def take_few(source: Path, target: Path, count: int) -> Path:
    """Link some frames of each split, evenly spread, into a small data set; return it."""
    for split in SPLITS:
        for folder in ("images", "labels"):
            (target / folder / split).mkdir(parents=True, exist_ok=True)
        pairs = frame_pairs(source, split)
        for image, label in pairs[:: max(1, len(pairs) // count)][:count]:
            for folder, file in (("images", image), ("labels", label)):
                link = target / folder / split / file.name
                if not link.is_symlink():
                    link.symlink_to(file.resolve())
    return target


def frame_pairs(source: Path, split: str) -> list[tuple[Path, Path]]:
    """Return image and label of each frame of a split, in the order of their names."""
    images = sorted((source / "images" / split).iterdir())
    labels = source / "labels" / split
    return [(image, labels / f"{image.stem}.png") for image in images]


def count_frames(source: Path, split: str) -> int:
    """Return the number of images of a split."""
    return len(os.listdir(source / "images" / split))
