"""Images with masks that were found without faults, before the first is added."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgeseg.data.class_pixels import count_class_pixels
from edgeseg.data.ingest.deep_pictures import DeepPictures
from edgeseg.data.ingest.image_files import content_digest, decode_image, read_file
from edgeseg.data.ingest.mask_files import MaskReader
from edgeseg.data.ingest.site_writer import SiteWriter
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE
from edgeseg.progress import ProgressReporter

MOST_REASONS = 20  # named in a message
MOST_FILES = 4  # named for one reason


@dataclass(frozen=True, kw_only=True)
class CheckedPair:
    """An image with its mask, without faults.

    Pixels are read again when it is added, so that memory holds one image at a time.

    Attributes:
        image, mask: The files.
        time: Seconds that stand for the image's place in its folder.
        digest: Digest of the image's content.
        pixels: (C,) pixels of each class.
        has_ignored: Whether pixels are not labelled.
    """

    image: Path
    mask: Path
    time: float
    digest: str
    pixels: list[int]
    has_ignored: bool


def check_pairs(
    writer: SiteWriter,
    pairs: Iterable[tuple[Path, Path]],
    reader: MaskReader,
    deep: DeepPictures,
    report: ProgressReporter,
    faults: list[str],
) -> list[CheckedPair]:
    """Decode every image and mask, and see that they fit each other and the site.

    Args:
        deep: Refuses pictures of more than 8 bits that the site cannot take.
        faults: "file: reason" is appended for each fault.

    Returns:
        The pairs without faults.
    """
    checked: list[CheckedPair] = []
    image_of_frame: dict[str, Path] = {}  # by frame id, or by digest where the frame is new
    number_in_folder: Counter[Path] = Counter()
    pairs = list(pairs)
    config = writer.site.config
    report.start("checking", len(pairs))
    for image, mask in pairs:
        report.advance(1, f"{len(faults)} faults" if faults else "")
        number = number_in_folder[image.parent]
        number_in_folder[image.parent] += 1
        shape, digest, labels = None, "", None
        try:
            data = read_file(image)
            digest = content_digest(data)
            picture = decode_image(data, image)
            deep.check(picture, image)
            shape = picture.values.shape[:2]
        except DataError as error:
            faults.append(str(error))
        try:
            labels = reader.read(mask)
        except DataError as error:
            faults.append(str(error))
        if shape is None or labels is None:
            continue
        frame = writer.find_by_id(image.stem)
        identity = frame.id if frame else digest
        if labels.shape != shape:
            faults.append(f"{mask}: is {_size(labels.shape)}, but {image.name} is {_size(shape)}")
        elif frame and shape != (frame.height, frame.width):
            faults.append(
                f"{image}: is {_size(shape)}, but the frame of this name is "
                f"{frame.width}x{frame.height}; rename it"
            )
        elif identity in image_of_frame:
            same = image_of_frame[identity]
            faults.append(f"{image}: is the same image as {same}; keep one of them")
        else:
            image_of_frame[identity] = image
            checked.append(
                CheckedPair(
                    image=image,
                    mask=mask,
                    time=number / config.data.fps,
                    digest=digest,
                    pixels=count_class_pixels(labels, len(config.classes)),
                    has_ignored=bool((labels == IGNORE).any()),
                )
            )
    report.stop()
    return checked


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
