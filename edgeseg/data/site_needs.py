"""What training, export and adaptation need of a site's labels, told before hours of work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.class_pixels import frame_class_pixels
from edgeseg.errors import DataError
from edgeseg.site import Frame, Site, Split

MIN_EXPORT_VAL_FRAMES = 3  # fewer fit no threshold
MIN_FRAMES: dict[Split, int] = {"val": 5, "gate": 5}  # below it a figure says little
NEEDED_BY: dict[Split, tuple[str, int]] = {
    "val": ("edgeseg export", MIN_EXPORT_VAL_FRAMES),
    "gate": ("edgeseg adapt", 1),
}
NO_FOOTAGE = (
    "the site has no unlabelled frames to train on, and `edgeseg distill` needs some; add footage "
    "with `edgeseg add footage PATH`"
)
ClassPixels = Mapping[Split, NDArray[np.int64]]  # labelled pixels of each class, (C,), by split
MIN_CLASSES = 2  # that labelled frames must show: a model of one class learns nothing
STATUS_HINT = "`edgeseg status` shows the pixels of each class"
LIKELY_CAUSE = (
    "if the masks were to hold more, their ids mean something else: add them again with "
    "`edgeseg add labels --map OLD=NEW`"
)


def require_learnable(pixels: Iterable[int], names: Sequence[str]) -> None:
    """Refuse labels from which nothing can be learned.

    Args:
        pixels: (C,) labelled pixels of each class in the labelled frames.
        names: The classes.

    Raises:
        DataError: None is labelled, or all of them are of one class.
    """
    present = [name for name, number in zip(names, pixels) if number]
    if not present:
        raise DataError(
            "no pixel of the labelled frames is labelled, so nothing can be learned; "
            f"{STATUS_HINT}; {LIKELY_CAUSE}"
        )
    if len(present) < MIN_CLASSES:
        absent = ", ".join(name for name in names if name not in present)
        raise DataError(
            f"every labelled pixel of the labelled frames is {present[0]}, and a model of one "
            f"class learns nothing; label frames that show {absent}, or {LIKELY_CAUSE}"
        )


def require_labelled_pixels(site: Site, split: Split) -> None:
    """Refuse a split whose masks label no pixel: no figure can be made on it.

    Raises:
        DataError: It is so, or a mask is missing or damaged.
    """
    frames = site.frames(split)
    if frames and not _shown_classes(site, frames, most=1):
        raise DataError(
            f"no pixel of the {len(frames)} {split} frames is labelled, so nothing can be judged "
            f"on them; {LIKELY_CAUSE}, or add others with `edgeseg add labels --split {split}`"
        )


def require_usable_labels(site: Site, *splits: Split) -> None:
    """Refuse a site on which training would learn nothing or be judged by nothing.

    Args:
        splits: The splits that judge.

    Raises:
        DataError: It is so, a split has no frames, or a mask is missing or damaged.
    """
    names = site.config.class_names
    shown = _shown_classes(site, site.require("labelled"), most=MIN_CLASSES)
    require_learnable([int(index in shown) for index in range(len(names))], names)
    for split in splits:
        site.require(split)
        require_labelled_pixels(site, split)


def absent_classes_note(pixels: Iterable[int], names: Sequence[str]) -> str:
    """Return a sentence on classes that no labelled frame shows; empty if there are none."""
    absent = [name for name, number in zip(names, pixels) if not number]
    if not absent:
        return ""
    return f"no labelled frame shows {', '.join(absent)}, so it cannot be learned; label some"


def missing_labels(site: Site) -> str:
    """Return why the site cannot be trained and exported yet for want of labels; empty if it can.

    Raises:
        DataError: The index or a mask is damaged.
    """
    names = site.config.class_names
    shown = _shown_classes(site, site.frames("labelled"), most=MIN_CLASSES)
    if len(shown) < MIN_CLASSES:
        number = len(site.frames("labelled"))
        return (
            f"{number} frames are labelled for training, and they show {len(shown)} of the "
            f"{len(names)} classes"
        )
    number = len(site.frames("val"))
    if number < MIN_EXPORT_VAL_FRAMES:
        return f"{number} val frames are labelled, and an export needs {MIN_EXPORT_VAL_FRAMES}"
    return ""


def later_needs(site: Site) -> list[str]:
    """Return a sentence for each later step that would refuse this site."""
    needs = [] if site.frames("unlabelled") else [NO_FOOTAGE]
    for split, (command, least) in NEEDED_BY.items():
        number = len(site.frames(split))
        if number < least:
            needs.append(
                f"`{command}` will need {least} {split} frame(s) and the site has {number}; add "
                f"some with `edgeseg add labels --split {split}`"
            )
    return needs


def labels_refusal(pixels: ClassPixels, names: Sequence[str]) -> str:
    """Return why training would refuse these labels; empty if it would not."""
    try:
        require_learnable(pixels["labelled"], names)
    except DataError as error:
        return str(error)
    if not pixels["val"].sum():
        return f"no pixel of the val frames is labelled, so nothing can be judged; {LIKELY_CAUSE}"
    return ""


def label_warnings(
    pixels: ClassPixels, frames: Mapping[Split, int], names: Sequence[str]
) -> list[str]:
    """Return sentences on classes and frames that are missing, each with what to do.

    Args:
        pixels: Labelled pixels of each class, by split.
        frames: Number of frames by split.
    """
    warnings = []
    absent = {
        split: [name for name, number in zip(names, numbers) if not number]
        for split, numbers in pixels.items()
    }
    refusal = labels_refusal(pixels, names)
    if refusal and frames["labelled"] and frames["val"]:
        warnings.append(refusal)
    elif absent["labelled"]:
        warnings.append(
            f"no labelled frame shows {', '.join(absent['labelled'])}, "
            "so it cannot be learned; label some that do"
        )
    for split, least in MIN_FRAMES.items():
        only_here = [name for name in absent[split] if name not in absent["labelled"]]
        if frames[split] < least:
            command, needed = NEEDED_BY[split]
            number = f"{frames[split]} frame{'s' * (frames[split] != 1)}"
            need = f", and `{command}` needs {needed}" if frames[split] < needed else ""
            warnings.append(
                f"{split} has {number}, too few to rely on{need}; "
                f"use `edgeseg add labels --split {split}`"
            )
        elif only_here:
            warnings.append(
                f"no {split} frame shows {', '.join(only_here)}, "
                "so how well it is found stays open; add some"
            )
    return warnings


def _shown_classes(site: Site, frames: Iterable[Frame], *, most: int) -> set[int]:
    """Return classes that masks show, looking at no more masks once there are `most`."""
    shown: set[int] = set()
    for frame in frames:
        if frame.mask:
            counts = frame_class_pixels(site, frame)
            shown |= {index for index, number in enumerate(counts) if number}
        if len(shown) >= most:
            break
    return shown
