"""Partitions of a data set into labelled, unlabelled and val images, from lists of official
repositories.

One image stands on each line, maybe with its mask behind it: "JPEGImages/2007_000733.jpg
SegmentationClass/2007_000733.png" (ST++, UniMatch and its second version), "2007_000733" (U2PL,
TorchSemiSeg), or a path with the mask behind a tab (TorchSemiSeg's Cityscapes). Only the name of
the image counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.protocols.data_sets import DataSet
from edgeseg.errors import DataError


@dataclass(frozen=True)
class Partition:
    """Names of images, each in one part only.

    Attributes:
        labelled: Those that keep their masks.
        unlabelled: Those that become footage.
        val: Those that judge.
        notes: Sentences on what differs from the published partitions.
    """

    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    val: tuple[str, ...]
    notes: tuple[str, ...]


def read_partition(
    data: DataSet, labelled: Path, unlabelled: Path | None = None, val: Path | None = None
) -> Partition:
    """Read the lists, and see that every file is there and no image of val is trained on.

    Args:
        data: The data set.
        labelled: The list of labelled images.
        unlabelled: That of unlabelled ones; the rest of the training images if left out.
        val: That of val images; those of the data set if left out.

    Raises:
        DataError: A list cannot be read or names an image twice, files are missing, or images
            are trained on and val as well.
    """
    names = read_list(data, labelled)
    val_names = read_list(data, val) if val else data.val_names()
    if unlabelled:
        footage = read_list(data, unlabelled)
    else:
        held = {*names, *val_names}
        footage = [name for name in data.train_names() if name not in held]
    _refuse_val("labelled", names, val_names)
    _refuse_val("unlabelled", footage, val_names)
    labelled_names = set(names)
    both = [name for name in footage if name in labelled_names]  # TorchSemiSeg's lists have one
    footage = [name for name in footage if name not in labelled_names]
    with_masks = [*names, *val_names]
    _refuse_missing("images", [data.image(name) for name in (*with_masks, *footage)])
    _refuse_missing("masks", [data.mask(name) for name in with_masks])
    if not val_names:
        raise DataError(f"{data.root} has no val images; give their list with --val")
    notes = _notes(data, names, footage, both)
    return Partition(tuple(names), tuple(footage), tuple(val_names), tuple(notes))


def read_list(data: DataSet, path: Path) -> list[str]:
    """Return the names of the images in a list.

    Raises:
        DataError: It cannot be read, is empty, or names an image twice.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the list {path} cannot be read: {error}; give a text file with one image a line"
        ) from None
    names = [data.name_of(line.split()[0]) for line in lines if line.strip()]
    if not names:
        raise DataError(f"the list {path} names no image; give one with an image on each line")
    name, most = Counter(names).most_common(1)[0]
    if most > 1:
        raise DataError(f"the list {path} names {name} {most} times; keep one of these lines")
    return names


def _refuse_val(kind: str, names: Iterable[str], val_names: Iterable[str]) -> None:
    both = sorted(set(names) & set(val_names))
    if both:
        raise DataError(
            f"{len(both)} image(s) are {kind} and val as well, {both[0]} the first of them; give "
            "lists that belong together"
        )


def _refuse_missing(what: str, paths: list[Path]) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(paths)} {what} are missing, the first is {missing[0]}; "
            "see whether the download is complete and the lists are of this data set"
        )


def _notes(data: DataSet, labelled: list[str], unlabelled: list[str], both: list[str]) -> list[str]:
    notes = []
    if both:
        notes.append(
            f"{len(both)} image(s) of the unlabelled ones, {both[0]} the first, are labelled as "
            "well and taken as such"
        )
    if not unlabelled:
        notes.append("no image is left unlabelled: a site for the ceiling, with suponly alone")
    if len(labelled) not in data.partitions:
        known = ", ".join(map(str, sorted(data.partitions)))
        notes.append(f"no published partition has {len(labelled)} labelled images ({known} have)")
    total = len(labelled) + len(unlabelled)
    if total != data.train_images:
        notes.append(
            f"the papers train on {data.train_images} images, labelled and unlabelled together, "
            f"here there are {total}"
        )
    return notes
