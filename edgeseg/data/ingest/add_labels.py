"""`edgeseg add labels`: images with masks become labelled frames of a site.

All are checked before the first is added, and all faults are told at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from edgeseg.data.class_pixels import frame_class_pixels
from edgeseg.data.ingest.checked_pairs import CheckedPair, check_pairs, faults_message
from edgeseg.data.ingest.deep_pictures import DeepPictures
from edgeseg.data.ingest.image_files import decode_image, read_file
from edgeseg.data.ingest.image_mask_pairs import pair_files
from edgeseg.data.ingest.known_predictions import KnownPredictions, is_same_mask, known_folders
from edgeseg.data.ingest.label_pair import LabelPair
from edgeseg.data.ingest.masks.mask_facts import MaskFacts
from edgeseg.data.ingest.masks.mask_reader import MaskReader
from edgeseg.data.ingest.masks.mask_rules import MaskRules
from edgeseg.data.ingest.pair_names import PairNames
from edgeseg.data.ingest.site_writer import SiteWriter, checked_camera_name, open_site_writer
from edgeseg.data.ingest.upright_masks import turn_mask
from edgeseg.data.splits import assign_splits, has_few_blocks
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.decoding.picture_reader import note_on_pages
from edgeseg.imaging.image_codec import encode_png
from edgeseg.imaging.mask_png import read_mask
from edgeseg.imaging.perceptual_hash import dhash
from edgeseg.imaging.resize import resize_mask
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Frame, FrameNames, Site, Split

SplitChoice = Split | Literal["auto"]
SPLIT_CHOICES: dict[str, SplitChoice] = {
    "auto": "auto",
    "train": "labelled",
    "labelled": "labelled",
    "val": "val",
    "gate": "gate",
}
FEW_LABELS = 8  # labelled frames below which the split of every one is told


@dataclass
class AddLabelsResult:
    """Counts of what `add_labels` added and changed.

    Attributes:
        added: Frames new to the site.
        labelled: Frames that were in the site as footage and now have a mask.
        updated: Frames whose mask changed.
        present: Frames that had this very mask.
        untouched: Predictions that came back as they went out; they stay predictions.
        restored: Frames whose image file was gone and is there again.
        moved: Frames that an explicit split took from another.
        splits: Frames of these labels by split.
        withheld: Unlabelled frames, in the whole site, too near val or gate to be trained on.
        with_more: Names of images with more pages or frames than the first, which was used.
        notes: Sentences the user should read.
    """

    added: int = 0
    labelled: int = 0
    updated: int = 0
    present: int = 0
    untouched: int = 0
    restored: int = 0
    moved: int = 0
    splits: dict[Split, int] = field(default_factory=dict)
    withheld: int = 0
    with_more: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def add_labels(
    site: Site,
    images: Path,
    masks: Path,
    split: str = "auto",
    *,
    camera: str | None = None,
    rules: MaskRules | None = None,
    names: PairNames | None = None,
    masks_as_stored: bool = False,
    accept_unchanged: bool = False,
    shown: Callable[[Path], str] = str,
    report: ProgressReporter | None = None,
) -> AddLabelsResult:
    """Add labelled images to the site: all of them, or none if any has a fault.

    Images and masks are folders, paired by the path below them without its suffix unless `names`
    says otherwise, or one file each. An image that the site has as a frame (the same bytes, or a
    file named by the frame's id) is not added twice: it gets the mask. JPEG files are kept byte for
    byte unless larger than `data.max_side`.

    Args:
        split: "train" (which is labelled), "val", "gate", or "auto", which decides by
            `edgeseg.data.splits.assign_splits` and leaves frames that have a split where they are.
        camera: Camera of the frames that are new.
        rules: What the ids and colors of the masks stand for.
        names: Which image belongs to which mask.
        masks_as_stored: Masks were drawn on the stored pixels of images that an EXIF tag turns.
        accept_unchanged: Predictions that come back unchanged were looked at, and are labels.
        shown: What the user calls a file.

    Raises:
        ConfigError: An impossible rule or `data.ignore_colors`.
        DataError: With all faults by file name; or the disk is full.
    """
    check_split(split)
    reader = MaskReader(site.config, rules)
    paired = pair_files(images, masks, names)
    known = KnownPredictions([] if accept_unchanged else known_folders(site, images, masks))
    pairs = [
        LabelPair(
            image=image,
            mask=mask,
            examine=partial(_examine_file, reader, mask),
            is_untouched=partial(known.is_untouched, image.stem),
            image_name=shown(image),
            mask_name=shown(mask),
        )
        for image, mask in paired.pairs
    ]
    result = add_label_pairs(
        site,
        pairs,
        split,
        camera=camera,
        reader=reader,
        faults=paired.faults,
        masks_as_stored=masks_as_stored,
        report=report,
    )
    result.notes += paired.notes
    return result


def check_split(split: str) -> None:
    """See that labels may have a split.

    Raises:
        DataError: There is no such split.
    """
    if split not in SPLIT_CHOICES:
        raise DataError(f"there is no split {split!r} for labels; use auto, train, val or gate")


def _examine_file(reader: MaskReader, mask: Path, size: tuple[int, int]) -> tuple[Mask, MaskFacts]:
    return reader.examine(mask)


def add_label_pairs(
    site: Site,
    pairs: Sequence[LabelPair],
    split: str = "auto",
    *,
    camera: str | None = None,
    reader: MaskReader | None = None,
    faults: Sequence[str] = (),
    masks_as_stored: bool = False,
    check: Callable[[], None] | None = None,
    report: ProgressReporter | None = None,
) -> AddLabelsResult:
    """Add images with masks to the site, wherever they come from: the one door of all labels.

    Args:
        split, camera, masks_as_stored: See `add_labels`.
        reader: Knows the rules by which masks are doubted.
        faults: "file: reason" that were found before.
        check: Called when all masks were read and before the first is added; may refuse them.

    Raises:
        DataError: With all faults by file name; or the disk is full.
    """
    report = report or NullReporter()
    camera = checked_camera_name(camera)
    check_split(split)
    with open_site_writer(site) as writer:
        deep = DeepPictures(site)
        deep.choose([pair.image for pair in pairs])
        checked = check_pairs(
            writer,
            pairs,
            reader or MaskReader(site.config),
            deep,
            report,
            masks_as_stored=masks_as_stored,
            has_first_class=_shows_first_class(writer),
        )
        if check:
            check()
        if found := [*faults, *checked.faults]:
            raise DataError(faults_message(found))
        result = _add_pairs(writer, checked.pairs, deep, SPLIT_CHOICES[split], camera, report)
    result.untouched = checked.untouched
    result.notes += checked.notes
    return result


def _shows_first_class(writer: SiteWriter) -> bool:
    """Return whether a mask of the site shows class 0; damaged ones do not."""
    for frame in writer.frames():
        try:
            if frame_class_pixels(writer.site, frame)[0]:
                return True
        except DataError:
            continue
    return False


def _add_pairs(
    writer: SiteWriter,
    pairs: list[CheckedPair],
    deep: DeepPictures,
    split: SplitChoice,
    camera: str,
    report: ProgressReporter,
) -> AddLabelsResult:
    result = AddLabelsResult()
    settled = [frame for frame in writer.frames() if frame.split != "unlabelled"]
    report.start("adding images", len(pairs))
    frames = []
    for pair in pairs:
        frames.append(_frame_of_pair(writer, pair, deep, camera, result))
        report.advance()
    splits = _choose_splits(writer, frames, pairs, settled, split, result)
    report.start("adding masks", len(pairs))
    for frame, pair in zip(frames, pairs):
        upright = turn_mask(_read_again(pair), pair.mask_turn)
        mask = resize_mask(upright, (frame.height, frame.width))
        _put_mask(writer, frame, mask, splits[frame.id], result, exact=pair.files.exact)
        report.advance()
    result.splits = dict(Counter(splits.values()))
    result.withheld = writer.save()
    report.stop()
    if len(pairs) + len(settled) < FEW_LABELS:
        names = FrameNames(writer.site)
        placed = "; ".join(f"{names.of(frame)} goes to {splits[frame.id]}" for frame in frames)
        result.notes.append(
            f"with so few labels every one counts: {placed}. "
            "Figures on so few val or gate frames mean little"
        )
    result.notes += note_on_pages(result.with_more) + deep.notes()
    result.notes += _note_on_few_classes(writer.site, pairs)
    return result


def _read_again(pair: CheckedPair) -> Mask:
    """Read the mask that was checked, (H, W), and see that it is still the same.

    Raises:
        DataError: It is not.
    """
    mask, facts = pair.files.examine(pair.size)
    if facts and (facts.unknown_ids or facts.unknown_colors):
        raise DataError(f"{pair.files.shown_mask} changed while it was added; run this again")
    return mask


def _frame_of_pair(
    writer: SiteWriter, pair: CheckedPair, deep: DeepPictures, camera: str, result: AddLabelsResult
) -> Frame:
    """Return the site's frame of a pair, made now if it is new."""
    frame = writer.find_by_id(pair.files.image.stem) or writer.find_by_content(pair.digest)
    if frame:
        digest = frame.id.rpartition("-")[2]
        if writer.is_lost(digest):
            data = read_file(pair.files.image)
            picture = decode_image(data, pair.files.image)
            rgb = deep.rgb(picture, pair.files.image)
            writer.restore_image(digest, rgb, data if picture.plain else None)
            result.restored += 1
        result.labelled += frame.split == "unlabelled"
        return frame
    data = read_file(pair.files.image)
    picture = decode_image(data, pair.files.image)
    rgb = deep.rgb(picture, pair.files.image)
    deep.save()
    result.added += 1
    if picture.more:
        result.with_more.append(pair.files.image.name)
    return writer.put_image(
        rgb,
        data if picture.plain else None,
        camera=camera,
        time=pair.time,
        source=pair.files.shown_image,
        origin="labels",
        digest=pair.digest,
        image_hash=dhash(rgb),
        lossless=True,
    )


def _choose_splits(
    writer: SiteWriter,
    frames: list[Frame],
    pairs: list[CheckedPair],
    settled: list[Frame],
    split: SplitChoice,
    result: AddLabelsResult,
) -> dict[str, Split]:
    """Return the split of each frame, by frame id.

    Args:
        frames: The frames of `pairs`.
        settled: Frames that had masks and splits before.
    """
    if split != "auto":
        result.moved = sum(frame.split not in ("unlabelled", split) for frame in frames)
        return {frame.id: split for frame in frames}
    config = writer.site.config
    new = [frame for frame in frames if frame.split == "unlabelled"]
    pixels = {frame.id: pair.pixels for frame, pair in zip(frames, pairs)}
    if new:
        pixels |= {
            frame.id: frame_class_pixels(writer.site, frame) for frame in settled if frame.mask
        }
    no_pixels = [0] * len(config.classes)
    assignment = assign_splits(
        new,
        settled,
        defaultdict(lambda: no_pixels, pixels),
        config.data,
        few_blocks=has_few_blocks(writer.frames(), config.data),
    )
    if assignment.parted:
        result.notes.append(
            f"{assignment.parted} stretch(es) of {config.data.block_seconds:g} s hold so many of "
            "the labels that they were cut; neighbors in different splits flatter val and gate, "
            "so label other times too"
        )
    return {frame.id: frame.split for frame in frames} | assignment.splits


def _put_mask(
    writer: SiteWriter,
    frame: Frame,
    mask: Mask,
    split: Split,
    result: AddLabelsResult,
    *,
    exact: bool,
) -> None:
    """Give a frame its mask and split, and count whether that changes anything."""
    data = encode_png(mask)
    if frame.mask:
        path = writer.site.path(frame.mask)
        is_same = path.is_file() and path.read_bytes() == data
        if not is_same and not exact and path.is_file():
            is_same = is_same_mask(read_mask(path), mask, exact=False)
            data = path.read_bytes() if is_same else data
        if is_same and frame.split == split:
            result.present += 1
            return
        result.updated += not is_same
    writer.put_mask(frame, data, split)


def _note_on_few_classes(site: Site, pairs: list[CheckedPair]) -> list[str]:
    """Point out masks of one class or none: nothing can be learned from them alone."""
    if not pairs:
        return []
    total = np.sum([pair.pixels for pair in pairs], axis=0)
    present = [spec.name for spec, count in zip(site.config.classes, total) if count]
    if len(present) > 1:
        return []
    if not present:
        return ["no pixel of these masks is labelled, so nothing can be learned from them"]
    rest = " and 255 (not labelled)" if any(pair.has_ignored for pair in pairs) else ""
    return [
        f"these masks hold {present[0]}{rest} alone; if more was labelled, say what its ids mean "
        "with --map OLD=NEW"
    ]
