"""`edgeseg add labels EXPORT [IMAGES]`: what a label tool exported becomes labels of the site."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from edgeseg.atomic_files import lock_folder, write_atomic
from edgeseg.data.ingest.add_labels import AddLabelsResult, add_label_pairs, add_labels, check_split
from edgeseg.data.ingest.known_predictions import KnownPredictions, known_folders
from edgeseg.data.ingest.label_pair import LabelPair
from edgeseg.data.ingest.masks.mask_rules import MaskRules
from edgeseg.data.ingest.pair_names import PairNames
from edgeseg.data.label_formats.class_names import ClassNames
from edgeseg.data.label_formats.export_files import ExportFiles
from edgeseg.data.label_formats.image_finder import ImageFinder, images_below
from edgeseg.data.label_formats.label_export import LabelExport, LabelFormat, LabelledImage
from edgeseg.data.label_formats.readers import color_masks, mask_folders
from edgeseg.data.label_formats.registry import (
    FORMATS,
    STRUCTURE_FAULTS,
    read_export,
    reason_of,
    recognise,
)
from edgeseg.data.label_formats.zip_files import open_export
from edgeseg.errors import ConfigError, DataError
from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.file_names import is_image
from edgeseg.progress import ProgressReporter
from edgeseg.site import Site

SCRATCH = "label-export"  # below cache/
LABEL_FOLDERS = ("annotations", "labels", "ann", "json", "Annotations")  # beside images
MOST_NAME_BYTES = 200  # of a copy; disks take 255, with what is put behind it meanwhile
ENOUGH_REST = 0.005  # of the pixels, from which the rest is told


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What the user said about an export.

    Attributes:
        split, camera: See `add_labels`.
        mapping: Texts "NAME=CLASS"; ids and colors for masks without names.
        rest: "ignore", or the class of pixels that no shape covers.
        rules, names: For masks without names; see `add_labels`.
        masks_as_stored: Labels were drawn on the stored pixels of images that an EXIF tag turns.
        accept_unchanged: Predictions that come back unchanged were looked at, and are labels.
    """

    split: str = "auto"
    camera: str | None = None
    mapping: Sequence[str] = ()
    rest: str = "ignore"
    rules: MaskRules = field(default_factory=MaskRules)
    names: PairNames = field(default_factory=PairNames)
    masks_as_stored: bool = False
    accept_unchanged: bool = False


def is_export(path: Path) -> bool:
    """Return whether a path is an export of a label tool, and no plain folder of images or masks.

    Archives always are.
    """
    if path.is_file():
        return not is_image(path)
    return path.is_dir() and recognise(ExportFiles(path, path)) is not None


def are_images_and_masks(first: Path, second: Path) -> bool:
    """Return whether two paths are images and their masks, and neither is an export.

    A folder of images may hold the JSON files of a tool beside them: with a folder of nothing but
    PNG files as the second, it is the images that are meant.
    """
    if is_export(second):
        return False
    if not is_export(first):
        return True
    if not first.is_dir() or not second.is_dir():
        return False
    pictures = [path for path in ExportFiles(second, second).files if is_image(path)]
    has_images = any(is_image(path) for path in ExportFiles(first, first).files)
    return has_images and bool(pictures) and all(p.suffix.lower() == ".png" for p in pictures)


def check_no_rest(rest: str) -> None:
    """Refuse a class for the rest where masks say of every pixel what it is.

    Raises:
        ConfigError: One was given.
    """
    if rest != "ignore":
        raise ConfigError(
            f"--rest {rest} is for exports of shapes, but these are masks, which say of every "
            f"pixel what it is; for a value that means {rest}, say --map VALUE={rest}"
        )


def export_and_images(first: Path, second: Path) -> tuple[Path, Path]:
    """Return which of two named paths is the export, and which holds its images.

    Beside a list of colors, the folder of masks and that of PNG images look alike: there, as
    elsewhere, the images come first, unless the name of the first says that it holds masks.
    """
    if not is_export(first):
        return second, first
    if _is_by_list_beside(first) and _is_by_list_beside(second):
        is_first = color_masks.is_mask_folder(first.name)
        return (first, second) if is_first else (second, first)
    return first, second


def _is_by_list_beside(path: Path) -> bool:
    if not path.is_dir():
        return False
    files = ExportFiles(path, path)
    return recognise(files) is color_masks.FORMAT and color_masks.has_list_beside(files)


def add_export(
    site: Site,
    export: Path,
    images: Path | None = None,
    options: ExportOptions | None = None,
    report: ProgressReporter | None = None,
) -> AddLabelsResult:
    """Add what a label tool exported: all of it, or nothing if anything has a fault.

    Args:
        export: A folder, a file, or a zip archive.
        images: The folder of the images, where they are neither in the export nor in the site.

    Raises:
        ConfigError: An option is impossible.
        DataError: With all faults by file name; or the export is of no known format.
    """
    options = options or ExportOptions()
    check_split(options.split)
    with _scratch_folder(site) as scratch, open_export(export, scratch) as files:
        kind = recognise(files)
        if kind is None:
            return _add_mask_folders(site, files, images, options, report)
        classes = ClassNames(site.config.class_names, options.mapping, options.rest)
        found = read_export(files, kind)
        if not found.images:
            raise DataError(
                f"{export} is {kind.title}, but no image in it has a label"
                + "".join(f"; {note}" for note in found.notes)
            )
        finder = ImageFinder(
            *(_image_files(files, images), site, found.not_images),
            names=[labelled.name for labelled in found.images],
        )
        known = KnownPredictions(known_folders(site, export))
        pairs, faults = _pairs(files, kind, found, finder, classes, scratch)
        if not options.accept_unchanged:
            pairs = [_with_prediction(pair, known) for pair in pairs]
        result = add_label_pairs(
            site,
            pairs,
            options.split,
            camera=options.camera,
            faults=faults,
            masks_as_stored=options.masks_as_stored,
            check=lambda: classes.check([spec.name for spec in found.classes]),
            report=report,
        )
    result.notes = [*_notes(kind, found, classes, options), *result.notes]
    return result


@contextmanager
def _scratch_folder(site: Site) -> Iterator[Path]:
    """Hold an empty folder in the site's cache; what a killed process left in it is cleared."""
    folder = site.root / "cache" / SCRATCH
    with lock_folder(folder, DataError):
        content = folder / "content"
        shutil.rmtree(content, ignore_errors=True)
        try:
            yield content
        finally:
            shutil.rmtree(content, ignore_errors=True)


def _add_mask_folders(
    site: Site,
    files: ExportFiles,
    images: Path | None,
    options: ExportOptions,
    report: ProgressReporter | None,
) -> AddLabelsResult:
    """Add an export that is folders of images and of plain masks."""
    folders = mask_folders.find(files)
    if folders is None:
        known = ", ".join(kind.title for kind in FORMATS.values())
        raise DataError(
            f"{files.origin} is no export that edgeseg knows ({known}, folders of images and "
            "masks); export it in one of these, or name two folders: edgeseg add labels IMAGES "
            "MASKS"
        )
    check_no_rest(options.rest)
    rules = MaskRules(
        ignore=options.rules.ignore,
        mapping=[*options.rules.mapping, *options.mapping],
        first_id=options.rules.first_id,
        palette=options.rules.palette,
    )
    return add_labels(
        site,
        images or folders[0],
        folders[1],
        options.split,
        camera=options.camera,
        rules=rules,
        names=options.names,
        masks_as_stored=options.masks_as_stored,
        accept_unchanged=options.accept_unchanged,
        shown=files.shown,
        report=report,
    )


def _image_files(files: ExportFiles, images: Path | None) -> list[Path]:
    """Return the files among which the images of an export are looked for."""
    if images is not None:
        return images_below(images)
    if not files.is_one_file:
        return list(files.files)
    folder = files.root.parent if files.root.name in LABEL_FOLDERS else files.root
    patterns = ("*", "*/*", "*/*/*")
    return sorted(path for pattern in patterns for path in folder.glob(pattern) if is_image(path))


def _pairs(
    files: ExportFiles,
    kind: LabelFormat,
    found: LabelExport,
    finder: ImageFinder,
    classes: ClassNames,
    scratch: Path,
) -> tuple[list[LabelPair], list[str]]:
    """Return images with their labels, and a fault for each whose image is missing."""
    pairs, faults = [], []
    for number, labelled in enumerate(found.images):
        shown = files.shown(labelled.file)
        try:
            names = (labelled.name, *labelled.other_names)
            found_images = (finder.find(name, labelled.file) for name in names)
            image = next((path for path in found_images if path is not None), None)
            if image is None and labelled.embedded:
                image = scratch / "embedded" / f"{number}" / _file_name(labelled.name, number)
                write_atomic(image, labelled.embedded(), sync=False)
        except STRUCTURE_FAULTS as error:
            faults.append(f"{shown}: {labelled.name}: {reason_of(error)}")
            continue
        except DataError as error:
            faults.append(str(error))
            continue
        if image is None:
            faults.append(
                f"{labelled.name}: is labelled in {shown}, but neither in it nor in the site; "
                f"name the folder of its images: edgeseg add labels {files.origin} IMAGES"
            )
            continue
        is_ours = image.is_relative_to(scratch)
        pairs.append(
            LabelPair(
                image=image,
                mask=labelled.file,
                examine=partial(_examine, labelled, classes),
                needs_size=labelled.size is None,
                exact=kind.exact or labelled.exact,
                image_name=f"{shown}/{image.name}"
                if is_ours and "embedded" in image.parts
                else files.shown(image)
                if is_ours
                else "",
                mask_name=shown,
            )
        )
    return pairs, faults


def _file_name(name: str, number: int) -> str:
    """Return the name under which an image that an export holds is kept: its own if disks take it.

    Else it is its number, with the suffix if that is an image's.
    """
    own = Path(name)
    is_usable = (
        own.name.isprintable()
        and bool(own.name.strip(". "))
        and len(own.name.encode(errors="replace")) <= MOST_NAME_BYTES
    )
    return own.name if is_usable else f"{number}{own.suffix if is_image(own) else '.png'}"


def _examine(
    labelled: LabelledImage, classes: ClassNames, size: tuple[int, int]
) -> tuple[Mask, None]:
    """Draw the mask of an image.

    Raises:
        DataError: "file: reason".
    """
    try:
        return labelled.draw(classes, labelled.size or size), None
    except STRUCTURE_FAULTS as error:
        raise DataError(f"{labelled.file}: {labelled.name}: {reason_of(error)}") from None


def _with_prediction(pair: LabelPair, known: KnownPredictions) -> LabelPair:
    untouched = partial(known.is_untouched, pair.image.stem, exact=pair.exact)
    return dataclasses.replace(pair, is_untouched=untouched)


def _notes(
    kind: LabelFormat, found: LabelExport, classes: ClassNames, options: ExportOptions
) -> list[str]:
    notes = [f"read as {kind.title}", *found.notes]
    if found.unlabelled:
        notes.append(f"{found.unlabelled} image(s) of it have no label and were left alone")
    share = classes.rest_pixels / max(1, classes.pixels)
    if share >= ENOUGH_REST:
        notes.append(
            f"{100 * share:.0f} % of the pixels lie in no shape and count as not labelled; if they "
            "are a class, add it again with --rest CLASS"
            if options.rest == "ignore"
            else f"{100 * share:.0f} % of the pixels lie in no shape and became {options.rest}"
        )
    return notes
