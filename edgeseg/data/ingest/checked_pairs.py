"""Images with masks that were found without faults, before the first is added."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from edgeseg.data.class_pixels import count_class_pixels
from edgeseg.data.ingest.deep_pictures import DeepPictures
from edgeseg.data.ingest.image_files import content_digest, decode_image, read_file
from edgeseg.data.ingest.label_pair import LabelPair
from edgeseg.data.ingest.masks.mask_reader import MaskReader
from edgeseg.data.ingest.masks.mask_survey import MaskSurvey
from edgeseg.data.ingest.site_writer import SiteWriter
from edgeseg.data.ingest.upright_masks import SIDEWAYS, exif_orientation, turn_mask
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.imaging.decoding.picture import UPRIGHT
from edgeseg.progress import ProgressReporter

MOST_REASONS = 20  # named in a message
MOST_FILES = 4  # named for one reason


@dataclass(frozen=True, kw_only=True)
class CheckedPair:
    """An image with its mask, without faults.

    Pixels are read again when it is added, so that memory holds one image at a time.

    Attributes:
        files: Where image and mask come from.
        time: Seconds that stand for the image's place in its folder.
        digest: Digest of the image's content.
        pixels: (C,) pixels of each class.
        has_ignored: Whether pixels are not labelled.
        size: Height and width that the mask is asked for.
        mask_turn: EXIF orientation by which the mask has to be turned, 1 if by none.
    """

    files: LabelPair
    time: float
    digest: str
    pixels: list[int]
    has_ignored: bool
    size: tuple[int, int]
    mask_turn: int


@dataclass
class CheckedPairs:
    """What was found when all images and masks were looked at.

    Attributes:
        pairs: The pairs without faults.
        faults: "file: reason" for each fault, those of the set included.
        untouched: Predictions that came back as they went out; they are no labels.
        notes: Sentences on how the masks were read.
    """

    pairs: list[CheckedPair] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    untouched: int = 0
    notes: list[str] = field(default_factory=list)


def check_pairs(
    writer: SiteWriter,
    pairs: Iterable[LabelPair],
    reader: MaskReader,
    deep: DeepPictures,
    report: ProgressReporter,
    *,
    masks_as_stored: bool = False,
    has_first_class: bool = False,
) -> CheckedPairs:
    """Decode every image and mask, and see that they fit each other and the site.

    Args:
        deep: Refuses pictures of more than 8 bits that the site cannot take.
        masks_as_stored: Masks were drawn on the stored pixels of images that an EXIF tag turns.
        has_first_class: The site has masks that show class 0.
    """
    result = CheckedPairs()
    faults = result.faults
    survey = MaskSurvey(reader.config, reader.rules, has_first_class=has_first_class)
    image_of_frame: dict[str, str] = {}  # by frame id, or by digest where the frame is new
    number_in_folder: Counter[str] = Counter()
    turns_unseen = 0
    pairs = list(pairs)
    report.start("checking", len(pairs))
    for pair in pairs:
        image, mask = pair.shown_image, pair.shown_mask
        report.advance(1, f"{len(faults)} faults" if faults else "")
        folder = image.rpartition("/")[0]
        number = number_in_folder[folder]
        number_in_folder[folder] += 1
        found = _examine_pair(pair, deep, survey, faults, as_stored=masks_as_stored)
        if found is None:
            continue
        shape, labels = found.shape, found.labels
        frame = writer.find_by_id(pair.image.stem)
        identity = frame.id if frame else found.digest
        if labels.shape != shape:
            faults.append(f"{mask}: {found.misfit(pair.image.name)}")
        elif frame and shape != (frame.height, frame.width):
            faults.append(
                f"{image}: is {_size(shape)}, but the frame of this name is "
                f"{frame.width}x{frame.height}; rename it"
            )
        elif identity in image_of_frame:
            same = image_of_frame[identity]
            faults.append(f"{image}: is the same image as {same}; keep one of them")
        elif pair.is_untouched(labels):
            result.untouched += 1
        else:
            image_of_frame[identity] = image
            turns_unseen += found.turn_is_unseen
            result.pairs.append(
                CheckedPair(
                    files=pair,
                    time=number / reader.config.data.fps,
                    digest=found.digest,
                    pixels=count_class_pixels(labels, len(reader.config.classes)),
                    has_ignored=bool((labels == IGNORE).any()),
                    size=shape[::-1] if found.mask_turn in SIDEWAYS else shape,
                    mask_turn=found.mask_turn,
                )
            )
    report.stop()
    faults += survey.faults()
    result.notes = survey.notes()
    if turns_unseen:
        result.notes.append(
            f"{turns_unseen} image(s) have an EXIF turn that sizes do not show, and their masks "
            "were taken as drawn upright; if the labelling tool ignores the turn, add them again "
            "with --masks-as-stored"
        )
    return result


@dataclass(frozen=True, kw_only=True)
class _ExaminedPair:
    """An image and its mask, both readable.

    Attributes:
        shape: Height and width of the image, upright.
        digest: Digest of the image's content.
        labels: (H, W), turned by `mask_turn`.
        orientation: EXIF orientation of the image.
        mask_turn: EXIF orientation by which the mask was turned like its image.
        has_own_turn: The mask was turned by an EXIF tag of its own.
    """

    shape: tuple[int, int]
    digest: str
    labels: Mask
    orientation: int
    mask_turn: int
    has_own_turn: bool

    @property
    def turn_is_unseen(self) -> bool:
        """Whether sizes cannot tell if the mask was drawn upright or as the image is stored."""
        seen = self.orientation in SIDEWAYS and self.shape[0] != self.shape[1]
        return self.orientation != UPRIGHT and self.mask_turn == UPRIGHT and not seen

    def misfit(self, image: str) -> str:
        """Say how the mask does not fit its image."""
        sizes = f"is {_size(self.labels.shape)}, but {image} is {_size(self.shape)}"
        if self.labels.shape != self.shape[::-1]:
            return sizes
        if self.has_own_turn:
            return f"{sizes}; it has an EXIF turn of its own: save it without metadata"
        if self.mask_turn in SIDEWAYS:
            return f"{sizes}; it was drawn upright: leave --masks-as-stored out"
        if self.orientation in SIDEWAYS:
            return (
                "fits its image only as stored, before the image's EXIF tag turns it upright, so "
                "the labelling tool ignored the turn: add --masks-as-stored, which turns the masks "
                "as well"
            )
        return sizes


def _examine_pair(
    pair: LabelPair, deep: DeepPictures, survey: MaskSurvey, faults: list[str], *, as_stored: bool
) -> _ExaminedPair | None:
    """Decode an image and its mask; None with faults if one of them cannot be."""
    try:
        data = read_file(pair.image)
        digest, orientation = content_digest(data), exif_orientation(data)
        picture = decode_image(data, pair.image)
        deep.check(picture, pair.image)
        shape = picture.values.shape[0], picture.values.shape[1]
    except DataError as error:
        faults.append(pair.told(error))
        shape, digest, orientation = None, "", UPRIGHT
    turn = orientation if as_stored else UPRIGHT
    labels, own_turn = None, False
    if shape is not None or not pair.needs_size:
        try:
            size = shape or (1, 1)
            labels, facts = pair.examine(size[::-1] if turn in SIDEWAYS else size)
            if facts:
                survey.add(facts)
                own_turn = facts.turned
        except DataError as error:
            faults.append(pair.told(error))
    if shape is None or labels is None:
        return None
    return _ExaminedPair(
        shape=shape,
        digest=digest,
        labels=turn_mask(labels, turn),
        orientation=orientation,
        mask_turn=turn,
        has_own_turn=own_turn,
    )


def faults_message(faults: list[str]) -> str:
    """Return one line for each file, or for each reason that several files share.

    Reasons and files are capped, the rest counted.
    """
    files_of_reason: dict[str, list[str]] = defaultdict(list)
    for fault in faults:
        path, _, reason = fault.partition(": ")
        files_of_reason[reason].append(path)
    lines = []
    for reason, paths in list(files_of_reason.items())[:MOST_REASONS]:
        more = f" and {len(paths) - MOST_FILES} more" if len(paths) > MOST_FILES else ""
        lines.append(f"\n  {', '.join(paths[:MOST_FILES])}{more}: {reason}")
    rest = sum(len(paths) for paths in list(files_of_reason.values())[MOST_REASONS:])
    last = f"\n  and {rest} more" if rest else ""
    return (
        f"nothing was added, for there are {len(faults)} faults; "
        f"mend them and run this again:{''.join(lines)}{last}"
    )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
