"""What a reader makes of an export: images with labels, each drawn when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.data.label_formats.class_names import ClassNames
from edgeseg.data.label_formats.export_files import ExportFiles
from edgeseg.imaging.array_types import Mask

Size = tuple[int, int]  # height, width


@dataclass(frozen=True, kw_only=True)
class LabelledImage:
    """An image of an export, and what was labelled in it.

    Attributes:
        name: The image as the export calls it, "/" between folders; the suffix may be missing or
            another than the file's.
        other_names: What it may be called otherwise, tried in turn if no image has its name.
        file: The file that the labels are in; names them in messages.
        size: Height and width that the labels are for; None where the export does not say.
        draw: Makes the mask, (H, W) uint8 class ids, 255 where nothing is labelled. It is given the
            classes and the size, which is the image's where the export says none, and raises a
            DataError with "file: reason".
        embedded: The content of the image where the export holds it itself.
        exact: All of its shapes are run lengths or bitmaps, so its mask comes back pixel by pixel.
    """

    name: str
    file: Path
    size: Size | None
    draw: Callable[[ClassNames, Size], Mask]
    other_names: tuple[str, ...] = ()
    embedded: Callable[[], bytes] | None = None
    exact: bool = False


@dataclass(frozen=True, kw_only=True)
class ClassSpec:
    """A class that an export names, with its color where it gives one."""

    name: str
    color: tuple[int, int, int] | None = None


@dataclass(kw_only=True)
class LabelExport:
    """All that an export holds.

    Attributes:
        images: In the order of the export.
        classes: Those that it lists, in the order of their ids.
        unlabelled: Images that it lists without any label; they are left alone.
        not_images: Picture files, and folders of such, that hold labels.
        notes: Sentences the user should read.
    """

    images: list[LabelledImage] = field(default_factory=list)
    classes: list[ClassSpec] = field(default_factory=list)
    unlabelled: int = 0
    not_images: set[Path] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class LabelFormat:
    """A kind of export.

    Attributes:
        name: The word for it.
        title: What people call it.
        exact: Masks come back pixel by pixel, for no shape is made of them on the way.
        recognise: Whether an export is of this kind, by names of files and the beginning of few.
        read: Reads it.
    """

    name: str
    title: str
    exact: bool
    recognise: Callable[[ExportFiles], bool]
    read: Callable[[ExportFiles], LabelExport]
