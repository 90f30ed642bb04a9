"""`edgeseg add labels`: images with masks, all checked before the first is added, all faults told
at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from edgeseg.data.class_pixels import count_class_pixels, frame_class_pixels
from edgeseg.data.ingest.image_files import content_digest, decode_image, read_bytes
from edgeseg.data.ingest.image_mask_pairs import pair_files
from edgeseg.data.ingest.mask_files import MaskReader, read_mask_file
from edgeseg.data.ingest.site_writer import SiteWriter, check_camera, open_site_writer
from edgeseg.data.splits import assign_splits
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE
from edgeseg.imaging.image_codec import encode_png
from edgeseg.imaging.perceptual_hash import dhash
from edgeseg.imaging.resize import resize_mask
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Frame, Site, Split

__all__ = ["AddLabelsResult", "add_labels", "read_mask_file"]

CHOICES: dict[str, Split | Literal["auto"]] = {
    "auto": "auto",
    "train": "labelled",
    "labelled": "labelled",
    "val": "val",
    "gate": "gate",
}
SHOWN = 20  # reasons printed
SHARED = 4  # files named for one reason
FEW = 8  # labelled frames below which every one is told where it went


@dataclass
class AddLabelsResult:
    """What became of the labels.

    Attributes:
        added: frames new to the site.
        labelled: frames that were in the site as footage and now have a mask.
        updated: frames whose mask changed.
        present: frames that had this very mask.
        moved: frames that an explicit split took from another.
        splits: frames of these labels by split.
        withheld: unlabelled frames, in the whole site, too near val or gate to be trained on.
        notes: sentences the user should read.
    """

    added: int = 0
    labelled: int = 0
    updated: int = 0
    present: int = 0
    moved: int = 0
    splits: dict[Split, int] = field(default_factory=dict)
    withheld: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _CheckedPair:
    """A pair without faults; pixels are read again when it is added, so that memory holds one image
    at a time.
    """

    image: Path
    mask: Path
    time: float
    content: str
    pixels: list[int]
    ignored: bool  # has pixels that are not labelled


def add_labels(
    site: Site,
    images: Path,
    masks: Path,
    split: str = "auto",
    *,
    camera: str | None = None,
    ignore: Collection[int] = (),
    report: ProgressReporter | None = None,
) -> AddLabelsResult:
    """Add labelled images to the site: all of them, or none if any has a fault.

    Images and masks are folders, paired by the path below them without its suffix, or one file
    each. An image that the site has as a frame (the same bytes, or a file named by the frame's id)
    is not added twice: it gets the mask. JPEG files are kept byte for byte unless larger than
    `data.max_side`.

    Args:
        split: "train" (which is labelled), "val", "gate", or "auto", which decides by
            `edgeseg.data.splits.assign_splits` and leaves frames that have a split where they are.
        camera: of frames that are new.
        ignore: indices of the masks that mean "not labelled", beside 255.

    Raises:
        ConfigError: an impossible `ignore` or `data.ignore_colors`.
        DataError: with all faults by file name; or the disk is full.
    """
    report = report or NullReporter()
    camera = check_camera(camera)
    choice = _choice(split)
    reader = MaskReader(site.config, ignore)
    pairs, faults = pair_files(images, masks)
    with open_site_writer(site) as store:
        checked = _check(store, pairs, reader, faults, report)
        if faults:
            raise DataError(_tell(faults))
        return _add(store, checked, reader, choice, camera, report)


def _tell(faults: list[str]) -> str:
    """One line for each file, or for each reason that several files share; capped, the rest
    counted.
    """
    reasons: dict[str, list[str]] = defaultdict(list)
    for fault in faults:
        path, _, reason = fault.partition(": ")
        reasons[reason].append(path)
    lines = []
    for reason, paths in list(reasons.items())[:SHOWN]:
        more = f" and {len(paths) - SHARED} more" if len(paths) > SHARED else ""
        lines.append(f"\n  {', '.join(paths[:SHARED])}{more}: {reason}")
    rest = sum(len(paths) for paths in list(reasons.values())[SHOWN:])
    last = f"\n  and {rest} more" if rest else ""
    return f"nothing was added, for there are {len(faults)} faults; mend them and run this again:{''.join(lines)}{last}"


def _choice(split: str) -> Split | Literal["auto"]:
    if split not in CHOICES:
        raise DataError(f"there is no split {split!r} for labels; use auto, train, val or gate")
    return CHOICES[split]


def _check(
    store: SiteWriter,
    pairs: Iterable[tuple[Path, Path]],
    reader: MaskReader,
    faults: list[str],
    report: ProgressReporter,
) -> list[_CheckedPair]:
    checked: list[_CheckedPair] = []
    taken: dict[str, Path] = {}
    place: Counter[Path] = Counter()
    todo = list(pairs)
    report.start("checking", len(todo))
    for image, mask in todo:
        report.advance(1, f"{len(faults)} faults" if faults else "")
        place[image.parent] += 1
        shape, content, labels = None, "", None
        try:
            data = read_bytes(image)
            content = content_digest(data)
            shape = decode_image(data, image).rgb.shape[:2]
        except DataError as error:
            faults.append(str(error))
        try:
            labels = reader.read(mask)
        except DataError as error:
            faults.append(str(error))
        if shape is None or labels is None:
            continue
        frame = store.find_by_id(image.stem)
        identity = frame.id if frame else content
        if labels.shape != shape:
            faults.append(f"{mask}: is {_size(labels.shape)}, but {image.name} is {_size(shape)}")
        elif frame and shape != (frame.height, frame.width):
            faults.append(
                f"{image}: is {_size(shape)}, but the frame of this name is {frame.width}x{frame.height}; rename it"
            )
        elif identity in taken:
            faults.append(f"{image}: is the same image as {taken[identity]}; keep one of them")
        else:
            taken[identity] = image
            checked.append(
                _CheckedPair(
                    image=image,
                    mask=mask,
                    time=(place[image.parent] - 1) / store.site.config.data.fps,
                    content=content,
                    pixels=count_class_pixels(labels, len(store.site.config.classes)),
                    ignored=bool((labels == IGNORE).any()),
                )
            )
    report.stop()
    return checked


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _add(
    store: SiteWriter,
    checked: list[_CheckedPair],
    reader: MaskReader,
    split: Split | Literal["auto"],
    camera: str,
    report: ProgressReporter,
) -> AddLabelsResult:
    result = AddLabelsResult()
    settled = [frame for frame in store.frames() if frame.split != "unlabelled"]
    report.start("adding images", len(checked))
    frames = []
    for pair in checked:
        frames.append(_frame(store, pair, camera, result))
        report.advance()
    splits = _decide(store, frames, checked, settled, split, result)
    report.start("adding masks", len(checked))
    for frame, pair in zip(frames, checked):
        _label(
            store,
            frame,
            encode_png(resize_mask(reader.read(pair.mask), (frame.height, frame.width))),
            splits[frame.id],
            result,
        )
        report.advance()
    result.splits = dict(Counter(splits.values()))
    result.withheld = store.save()
    report.stop()
    if len(checked) + len(settled) < FEW:
        placed = ", ".join(
            f"{pair.image.name} to {splits[frame.id]}" for frame, pair in zip(frames, checked)
        )
        result.notes.append(
            f"with so few labels every one counts: {placed}; figures on so few val or gate frames mean little"
        )
    total = np.sum([pair.pixels for pair in checked], axis=0)
    if np.count_nonzero(total) <= 1 and any(pair.ignored for pair in checked):
        only = [spec.name for spec, count in zip(store.site.config.classes, total) if count]
        result.notes.append(
            f"these masks hold {only[0] if only else 'no class'} and 255 alone, and 255 means not labelled; if it "
            "should be a class, write it as its id"
        )
    return result


def _frame(store: SiteWriter, pair: _CheckedPair, camera: str, result: AddLabelsResult) -> Frame:
    """The site's frame of a pair, made now if it is new."""
    frame = store.find_by_id(pair.image.stem) or store.find_by_content(pair.content)
    if frame:
        result.labelled += frame.split == "unlabelled"
        return frame
    data = read_bytes(pair.image)
    picture = decode_image(data, pair.image)
    result.added += 1
    return store.put_image(
        picture.rgb,
        data if picture.plain else None,
        camera=camera,
        time=pair.time,
        source=str(pair.image),
        origin="labels",
        content=pair.content,
        hashed=dhash(picture.rgb),
        lossless=True,
    )


def _decide(
    store: SiteWriter,
    frames: list[Frame],
    checked: list[_CheckedPair],
    settled: list[Frame],
    split: Split | Literal["auto"],
    result: AddLabelsResult,
) -> dict[str, Split]:
    if split != "auto":
        result.moved = sum(frame.split not in ("unlabelled", split) for frame in frames)
        return {frame.id: split for frame in frames}
    new = [frame for frame in frames if frame.split == "unlabelled"]
    pixels = {frame.id: pair.pixels for frame, pair in zip(frames, checked)}
    classes = len(store.site.config.classes)
    if new:
        pixels |= {
            frame.id: frame_class_pixels(store.site, frame) for frame in settled if frame.mask
        }
    assignment = assign_splits(
        new, settled, defaultdict(lambda: [0] * classes, pixels), store.site.config.data
    )
    if assignment.parted:
        result.notes.append(
            f"{assignment.parted} stretch(es) of {store.site.config.data.block_seconds:g} s hold so many of the "
            "labels that they were cut; neighbors in different splits flatter val and gate, so label other times too"
        )
    return {frame.id: frame.split for frame in frames} | assignment.splits


def _label(
    store: SiteWriter, frame: Frame, data: bytes, split: Split, result: AddLabelsResult
) -> None:
    if frame.mask:
        path = store.site.path(frame.mask)
        if frame.split == split and path.is_file() and path.read_bytes() == data:
            result.present += 1
            return
        result.updated += not path.is_file() or path.read_bytes() != data
    store.put_mask(frame, data, split)
