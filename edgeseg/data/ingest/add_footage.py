"""`edgeseg add footage`: videos and images become unlabelled frames of a site.

Videos are sampled by time, and near-duplicates are dropped. Frames are handled in one fixed order
and each decision depends on the frames before it alone, so that the same command run again, after
it ended or was killed, changes nothing that is there and ends in the same site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.data.frame_shapes import shape_advice
from edgeseg.data.ingest.deep_pictures import DeepPictures
from edgeseg.data.ingest.footage_files import list_footage
from edgeseg.data.ingest.image_files import (
    content_digest,
    decode_image,
    encode_image,
    read_file,
    shrink_to_max_side,
)
from edgeseg.data.ingest.site_writer import SiteWriter, checked_camera_name, open_site_writer
from edgeseg.data.ingest.video_files import deep_samples, sampled_pictures
from edgeseg.errors import DataError
from edgeseg.imaging.decoding.picture_reader import note_on_pages
from edgeseg.imaging.perceptual_hash import dhash
from edgeseg.imaging.video.recorded_video import open_recorded_video
from edgeseg.imaging.video.timed_frame import UnreadableVideoError
from edgeseg.imaging.video.video_reader import VideoReader
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site


@dataclass
class AddFootageResult:
    """Counts of what `add_footage` read, kept and left out.

    Attributes:
        read: Samples looked at.
        kept: New frames of the site.
        present: Samples that the site had already.
        restored: Those among them whose image file was gone and is there again.
        duplicates: Samples dropped because a near-duplicate is in the site.
        withheld: Unlabelled frames, in the whole site, too near val or gate to be trained on.
        unreadable: "file: reason" for every file that could not be read.
        partial: "file: how much" for videos that end early or are damaged inside.
        skipped: Files that are neither images nor videos.
        advice: On frames whose shape `train.imgsz` does not have; empty if all is well.
        with_more: Names of image files with more pages or frames than the first, which was used.
        notes: Sentences the user should read.
    """

    read: int = 0
    kept: int = 0
    present: int = 0
    restored: int = 0
    duplicates: int = 0
    withheld: int = 0
    unreadable: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    advice: str = ""
    with_more: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def add_footage(
    site: Site,
    paths: Sequence[str | Path],
    camera: str | None = None,
    report: ProgressReporter | None = None,
) -> AddFootageResult:
    """Add footage to the site as unlabelled frames.

    Videos give the first frame of every 1/`data.fps` seconds, images of one folder count as
    1/`data.fps` seconds apart. A frame with a near-duplicate anywhere in the site is dropped. Files
    that cannot be read are named and the rest is kept.

    Raises:
        DataError: Nothing was found, nothing could be read, or the disk is full.
    """
    report = report or NullReporter()
    camera = checked_camera_name(camera)
    files = list_footage(paths, site)
    result = AddFootageResult(skipped=files.skipped)
    with open_site_writer(site) as writer:
        deep = DeepPictures(site)
        deep.choose([path for image_paths in files.folders for path in image_paths])
        for video_path in files.videos:
            _add_video(writer, video_path, camera, deep, result, report)
        for image_paths in files.folders:
            _add_images(writer, image_paths, camera, deep, result, report)
        result.withheld = writer.save()
        config = site.config
        result.advice = shape_advice(
            writer.frames(), config.train.imgsz, config.data.fit, config.train.encoder
        )
    result.notes += note_on_pages(result.with_more) + deep.notes()
    if not result.read:
        faults = result.unreadable or [f"{files.videos[0]}: has no frames"]
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise DataError(
            f"no footage could be read: {faults[0]}{more}; "
            "give files that play in a video player or viewer"
        )
    return result


def _add_video(
    writer: SiteWriter,
    path: Path,
    camera: str,
    deep: DeepPictures,
    result: AddFootageResult,
    report: ProgressReporter,
) -> None:
    try:
        with open_recorded_video(path) as video:
            report.start(path.name, video.expected or None)
            _add_samples(writer, video, path, camera, deep, result, report)
            result.partial += [f"{path}: {loss}" for loss in video.losses()]
    except UnreadableVideoError as error:
        result.unreadable.append(f"{path}: {error}")
    finally:
        report.stop()


def _add_samples(
    writer: SiteWriter,
    video: VideoReader,
    path: Path,
    camera: str,
    deep: DeepPictures,
    result: AddFootageResult,
    report: ProgressReporter,
) -> None:
    config = writer.site.config.data
    kept_before = result.kept
    for time, picture in sampled_pictures(video, config.fps, report.advance):
        if picture.container is not None and deep.range is None:
            deep.choose_by(deep_samples(path, config.fps))
        try:
            rgb = deep.rgb(picture, path)
        except DataError as error:
            raise UnreadableVideoError(str(error).removeprefix(f"{path}: ")) from None
        result.read += 1
        image_hash = dhash(rgb)
        small = shrink_to_max_side(rgb, config.max_side)
        data = encode_image(small, ".jpg")
        digest = content_digest(data)
        if writer.was_present(digest):
            if writer.is_lost(digest):
                writer.restore_image(digest, small, data)
                result.restored += 1
            result.present += 1
            continue
        if writer.has_near_duplicate(image_hash):
            result.duplicates += 1
            continue
        deep.save()
        writer.put_image(
            small,
            data,
            camera=camera,
            time=time,
            source=str(path),
            origin="footage",
            image_hash=image_hash,
        )
        result.kept += 1
        report.advance(0, f"{result.kept - kept_before} kept")
        writer.save_sometimes()


def _add_images(
    writer: SiteWriter,
    paths: list[Path],
    camera: str,
    deep: DeepPictures,
    result: AddFootageResult,
    report: ProgressReporter,
) -> None:
    report.start(str(paths[0].parent), len(paths))
    kept_before = result.kept
    for number, path in enumerate(paths):
        report.advance(1, f"{result.kept - kept_before} kept")
        try:
            data = read_file(path)
            digest = content_digest(data)
            is_present = writer.was_present(digest)
            if is_present and not writer.is_lost(digest):
                result.read += 1
                result.present += 1
                continue
            picture = decode_image(data, path)
            rgb = deep.rgb(picture, path)
        except DataError as error:
            result.unreadable.append(str(error))
            continue
        result.read += 1
        if is_present:
            writer.restore_image(digest, rgb, data if picture.plain else None)
            result.restored += 1
            result.present += 1
            continue
        if picture.more:
            result.with_more.append(path.name)
        image_hash = dhash(rgb)
        if writer.has_near_duplicate(image_hash):
            result.duplicates += 1
            continue
        deep.save()
        writer.put_image(
            rgb,
            data if picture.plain else None,
            camera=camera,
            time=number / writer.site.config.data.fps,
            source=str(path),
            origin="footage",
            digest=digest,
            image_hash=image_hash,
        )
        result.kept += 1
        writer.save_sometimes()
    report.stop()
