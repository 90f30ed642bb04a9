"""PASCAL VOC 2012 and Cityscapes as they lie on disk: classes, images, label images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from edgeseg.data.ingest.masks.mask_rules import MaskRules
from edgeseg.errors import DataError

Colors = tuple[tuple[str, str], ...]
VOC_CLASSES: Colors = (
    ("background", "#000000"),
    ("aeroplane", "#800000"),
    ("bicycle", "#008000"),
    ("bird", "#808000"),
    ("boat", "#000080"),
    ("bottle", "#800080"),
    ("bus", "#008080"),
    ("car", "#808080"),
    ("cat", "#400000"),
    ("chair", "#c00000"),
    ("cow", "#408000"),
    ("diningtable", "#c08000"),
    ("dog", "#400080"),
    ("horse", "#c00080"),
    ("motorbike", "#408080"),
    ("person", "#c08080"),
    ("pottedplant", "#004000"),
    ("sheep", "#804000"),
    ("sofa", "#00c000"),
    ("train", "#80c000"),
    ("tvmonitor", "#004080"),
)
CITYSCAPES_CLASSES: Colors = (
    ("road", "#804080"),
    ("sidewalk", "#f423e8"),
    ("building", "#464646"),
    ("wall", "#66669c"),
    ("fence", "#be9999"),
    ("pole", "#999999"),
    ("traffic light", "#faaa1e"),
    ("traffic sign", "#dcdc00"),
    ("vegetation", "#6b8e23"),
    ("terrain", "#98fb98"),
    ("sky", "#4682b4"),
    ("person", "#dc143c"),
    ("rider", "#ff0000"),
    ("car", "#00008e"),
    ("truck", "#000046"),
    ("bus", "#003c64"),
    ("train", "#005064"),
    ("motorcycle", "#0000e6"),
    ("bicycle", "#770b20"),
)
# The labelId of each class of CITYSCAPES_CLASSES; the other ids up to 33 are not evaluated.
CITYSCAPES_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
LAST_LABEL_ID = 33


class DataSet(ABC):
    """A data set in its usual folders; images go by the names that partitions use.

    Attributes:
        root: Its folder.
        classes: Name and color of each class.
        train_images: The number of training images that the papers split into labelled and not.
        frame_shape: (height, width) that all images have; None where they differ.
        partitions: What the papers call a partition, by the number of its labelled images.
    """

    classes: Colors
    train_images: int
    frame_shape: tuple[int, int] | None
    partitions: ClassVar[dict[int, str]]

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def name_of(self, path: str) -> str:
        """Return the name of the image that a line of a list means."""

    @abstractmethod
    def image(self, name: str) -> Path:
        """Return where the image lies, or should lie."""

    @abstractmethod
    def mask(self, name: str) -> Path:
        """Return where the label image lies, or should lie."""

    @abstractmethod
    def mask_rules(self, names: Sequence[str]) -> MaskRules:
        """Return what the values of the label images mean."""

    @abstractmethod
    def train_names(self) -> list[str]:
        """Return the training images that are there, those of val maybe among them."""

    @abstractmethod
    def val_names(self) -> list[str]:
        """Return the val images.

        Raises:
            DataError: The data set does not say which they are.
        """


class PascalVoc(DataSet):
    """VOC 2012 with the masks of SBD: JPEGImages/, SegmentationClassAug/, SegmentationClass/.

    A mask is taken from SegmentationClassAug where it has one, else from SegmentationClass. The
    masks may be plain or have VOC's palette, whose indices count; 255 is not labelled.
    """

    classes = VOC_CLASSES
    train_images = 10_582
    frame_shape = None
    partitions: ClassVar[dict[int, str]] = {
        92: "classic 1/16",
        183: "classic 1/8",
        366: "classic 1/4",
        732: "classic 1/2",
        1464: "classic, all",
        662: "blender 1/16",
        1323: "blender 1/8",
        2645: "blender 1/4 of ST++",
        2646: "blender 1/4",
        5291: "blender 1/2",
    }

    def __init__(self, root: Path) -> None:
        """Find VOC2012 in `root` or below it.

        Raises:
            DataError: It is not there.
        """
        places = (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012")
        for place in places:
            if (place / "JPEGImages").is_dir():
                super().__init__(place)
                return
        raise DataError(
            f"{root} has no folder JPEGImages; give the folder VOC2012 of the development kit, "
            "with JPEGImages and SegmentationClassAug in it"
        )

    def name_of(self, path: str) -> str:
        return Path(path).stem

    def image(self, name: str) -> Path:
        return self.root / "JPEGImages" / f"{name}.jpg"

    def mask(self, name: str) -> Path:
        augmented = self.root / "SegmentationClassAug" / f"{name}.png"
        original = self.root / "SegmentationClass" / f"{name}.png"
        return original if original.is_file() and not augmented.is_file() else augmented

    def mask_rules(self, names: Sequence[str]) -> MaskRules:
        return MaskRules(first_id=0, palette="index")

    def train_names(self) -> list[str]:
        folders = (self.root / "SegmentationClassAug", self.root / "SegmentationClass")
        names = {path.stem for folder in folders for path in folder.glob("*.png")}
        return sorted(name for name in names if self.image(name).is_file())

    def val_names(self) -> list[str]:
        file = self.root / "ImageSets" / "Segmentation" / "val.txt"
        if not file.is_file():
            raise DataError(
                f"{file} is missing, which says what the val images are; give their list with --val"
            )
        return file.read_text().split()


class Cityscapes(DataSet):
    """Cityscapes: leftImg8bit/ and gtFine/, each with train/CITY and val/CITY.

    The label images are `*_labelTrainIds.png`, as Cityscapes' own script makes them, or the
    `*_labelIds.png` of the download; 255 is not labelled in the former.
    """

    classes = CITYSCAPES_CLASSES
    train_images = 2975
    frame_shape = (1024, 2048)
    partitions: ClassVar[dict[int, str]] = {
        100: "1/30",
        186: "1/16",
        372: "1/8",
        744: "1/4",
        1488: "1/2",
    }
    _FOLDERS = ("train", "val", "train_extra")

    def __init__(self, root: Path) -> None:
        """Look for the two folders.

        Raises:
            DataError: They are not there.
        """
        super().__init__(root)
        for folder in ("leftImg8bit", "gtFine"):
            if not (root / folder).is_dir():
                raise DataError(
                    f"{root} has no folder {folder}; give the folder of Cityscapes with "
                    "leftImg8bit and gtFine in it"
                )

    def name_of(self, path: str) -> str:
        """Return "jena_000078_000019" of "leftImg8bit/train/jena/jena_..._leftImg8bit.png" and of
        TorchSemiSeg's "/images/train/jena_....png" alike.
        """
        return Path(path).stem.removesuffix("_leftImg8bit")

    def image(self, name: str) -> Path:
        city = name.partition("_")[0]
        places = [
            self.root / "leftImg8bit" / folder / city / f"{name}_leftImg8bit.png"
            for folder in self._FOLDERS
        ]
        return next((place for place in places if place.is_file()), places[0])

    def mask(self, name: str) -> Path:
        folder = self.image(name).parent.relative_to(self.root / "leftImg8bit")
        start = self.root / "gtFine" / folder / f"{name}_gtFine"
        of_labels = start.with_name(f"{start.name}_labelIds.png")
        of_classes = start.with_name(f"{start.name}_labelTrainIds.png")
        return of_labels if of_labels.is_file() and not of_classes.is_file() else of_classes

    def mask_rules(self, names: Sequence[str]) -> MaskRules:
        """Return what train ids or label ids mean, whichever these masks hold.

        Raises:
            DataError: Some masks hold train ids and others label ids.
        """
        kinds = {self.mask(name).name.endswith("_labelTrainIds.png") for name in names}
        if len(kinds) > 1:
            raise DataError(
                f"{self.root / 'gtFine'} has *_labelTrainIds.png for a part of the images only; "
                "make them for all, or remove them and the *_labelIds.png are used"
            )
        if kinds == {True}:
            return MaskRules(first_id=0)
        class_of_id = {label: number for number, label in enumerate(CITYSCAPES_LABEL_IDS)}
        mapping = [
            f"{label}={class_of_id.get(label, 'ignore')}" for label in range(LAST_LABEL_ID + 1)
        ]
        return MaskRules(first_id=0, mapping=mapping)

    def train_names(self) -> list[str]:
        return self._names("train")

    def val_names(self) -> list[str]:
        return self._names("val")

    def _names(self, folder: str) -> list[str]:
        files = (self.root / "leftImg8bit" / folder).glob("*/*_leftImg8bit.png")
        return sorted(self.name_of(file.name) for file in files)


DATA_SETS: dict[str, type[DataSet]] = {"voc": PascalVoc, "cityscapes": Cityscapes}
