"""`edgeseg add footage`: videos and images become unlabelled frames, sampled by time, without
near-duplicates.

Frames are handled in one fixed order and each decision depends on the frames before it alone, so
that the same command run again, after it ended or was killed, changes nothing that is there and
ends in the same site.
"""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.data.ingest.image_files import (
    content_digest,
    decode_image,
    encode_image,
    is_image,
    natural,
    read_bytes,
    shrink_to_max_side,
)
from edgeseg.data.ingest.site_writer import SiteWriter, check_camera, open_site_writer
from edgeseg.data.ingest.video_files import is_video, open_video
from edgeseg.errors import DataError
from edgeseg.imaging.perceptual_hash import dhash
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site

OWN_FOLDERS = ("frames", "masks", "runs", "bundles", "rounds")  # of a site; never footage


@dataclass
class AddFootageResult:
    """What became of the footage.

    Attributes:
        read: samples looked at.
        kept: new frames of the site.
        present: samples that the site had already.
        duplicates: samples dropped because a near-duplicate is in the site.
        withheld: unlabelled frames, in the whole site, too near val or gate to be trained on.
        unreadable: "file: reason" for what could not be read.
        partial: "file: how much" for videos that end early.
        skipped: files that are neither images nor videos.
    """

    read: int = 0
    kept: int = 0
    present: int = 0
    duplicates: int = 0
    withheld: int = 0
    unreadable: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class FootageFiles:
    """Files to read: videos, folders of images (each in time order), and what is neither."""

    videos: list[Path]
    folders: list[list[Path]]
    skipped: list[Path]


def list_footage(paths: Iterable[str | Path], site: Site) -> FootageFiles:
    """Find the videos and images that files, folders (with all below them) and glob patterns name.

    Raises:
        DataError: a path or pattern matches nothing, or nothing in it is an image or a video.
    """
    files: dict[Path, None] = {}  # in order, each once
    own = {(site.root / name).resolve() for name in OWN_FOLDERS}
    for text in paths:
        for entry in _matches(text):
            files.update(dict.fromkeys(_walk(entry, own) if entry.is_dir() else [entry]))
    images: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        if is_image(path):
            images[path.parent].append(path)
    folders = [sorted(images[folder], key=natural) for folder in sorted(images, key=natural)]
    videos = sorted((path for path in files if is_video(path)), key=natural)
    if not videos and not folders:
        raise DataError(
            f"{', '.join(map(str, paths))} holds no video or image ({len(files)} other files); name footage"
        )
    return FootageFiles(
        videos, folders, [path for path in files if not is_image(path) and not is_video(path)]
    )


def _matches(text: str | Path) -> list[Path]:
    try:
        found = [Path(text)] if Path(text).exists() else [Path(name) for name in _glob(str(text))]
    except OSError as error:
        raise DataError(f"{text} cannot be looked for ({error.strerror}); check the path") from None
    if not found:
        raise DataError(
            f"{text} matches no file or folder; check the path, and quote patterns with *"
        )
    return sorted(found, key=natural)


def _glob(pattern: str) -> list[str]:
    return glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob refuses absolute patterns


def _walk(folder: Path, own: set[Path]) -> Iterable[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(
            f"{error.filename} cannot be listed ({error.strerror}); mend its permissions or leave it out"
        )

    for root, folders, names in os.walk(folder, onerror=refuse):
        here = Path(root)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (here / name).resolve() not in own
        )
        yield from (here / name for name in sorted(names) if not name.startswith("."))


def add_footage(
    site: Site,
    paths: Sequence[str | Path],
    camera: str | None = None,
    report: ProgressReporter | None = None,
) -> AddFootageResult:
    """Add footage to the site as unlabelled frames.

    Videos give the first frame of every 1/`data.fps` seconds, images of one folder count as
    1/`data.fps` seconds apart. A frame with a near-duplicate anywhere in the site is dropped. What
    cannot be read is named and the rest is kept.

    Raises:
        DataError: nothing was found, nothing could be read, or the disk is full.
    """
    report = report or NullReporter()
    camera = check_camera(camera)
    listing = list_footage(paths, site)
    result = AddFootageResult(skipped=listing.skipped)
    with open_site_writer(site) as store:
        for video in listing.videos:
            _add_video(store, video, camera, result, report)
        for folder in listing.folders:
            _add_images(store, folder, camera, result, report)
        result.withheld = store.save()
    if not result.read:
        faults = result.unreadable or [f"{listing.videos[0]}: has no frames"]
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise DataError(
            f"no footage could be read: {faults[0]}{more}; give files that play in a video player or viewer"
        )
    return result


def _add_video(
    store: SiteWriter, path: Path, camera: str, result: AddFootageResult, report: ProgressReporter
) -> None:
    data_config = store.site.config.data
    before = result.kept
    with ExitStack() as stack:
        try:
            video = stack.enter_context(open_video(path))
        except DataError as error:
            result.unreadable.append(str(error))
            return
        report.start(path.name, video.expected or None)
        for time, rgb in video.samples(data_config.fps, report.advance):
            result.read += 1
            hashed = dhash(rgb)
            small = shrink_to_max_side(rgb, data_config.max_side)
            data = encode_image(small, ".jpg")
            if store.was_present(content_digest(data)):
                result.present += 1
            elif store.has_near_duplicate(hashed):
                result.duplicates += 1
            else:
                store.put_image(
                    small,
                    data,
                    camera=camera,
                    time=time,
                    source=str(path),
                    origin="footage",
                    hashed=hashed,
                )
                result.kept += 1
                report.advance(0, f"{result.kept - before} kept")
                store.save_sometimes()
        report.stop()
        if not video.decoded:
            result.unreadable.append(f"{path}: has no frame that can be decoded")
        elif video.cut_short:
            result.partial.append(
                f"{path}: ends or breaks after {video.decoded} of {video.expected} frames"
            )


def _add_images(
    store: SiteWriter,
    paths: list[Path],
    camera: str,
    result: AddFootageResult,
    report: ProgressReporter,
) -> None:
    report.start(str(paths[0].parent), len(paths))
    before = result.kept
    for number, path in enumerate(paths):
        report.advance(1, f"{result.kept - before} kept")
        try:
            data = read_bytes(path)
            content = content_digest(data)
            if store.was_present(content):
                result.read += 1
                result.present += 1
                continue
            picture = decode_image(data, path)
        except DataError as error:
            result.unreadable.append(str(error))
            continue
        result.read += 1
        hashed = dhash(picture.rgb)
        if store.has_near_duplicate(hashed):
            result.duplicates += 1
            continue
        store.put_image(
            picture.rgb,
            data if picture.plain else None,
            camera=camera,
            time=number / store.site.config.data.fps,
            source=str(path),
            origin="footage",
            content=content,
            hashed=hashed,
        )
        result.kept += 1
        store.save_sometimes()
    report.stop()
