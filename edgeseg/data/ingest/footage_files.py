"""The videos and images that files, folders and glob patterns on the command line name."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgeseg.data.ingest.video_files import is_video
from edgeseg.errors import DataError
from edgeseg.imaging.file_names import is_image, natural_sort_key
from edgeseg.site import Site

SITE_FOLDERS = ("frames", "masks", "runs", "bundles", "rounds")  # of a site; never footage


@dataclass(frozen=True)
class FootageFiles:
    """Files to read.

    Attributes:
        videos: Videos in natural order.
        folders: The images of each folder in natural order, which is their order in time.
        skipped: Files that are neither images nor videos.
    """

    videos: list[Path]
    folders: list[list[Path]]
    skipped: list[Path]


def list_footage(paths: Iterable[str | Path], site: Site) -> FootageFiles:
    """Find the videos and images that files, folders (with all below them) and glob patterns name.

    Raises:
        DataError: A path or pattern matches nothing, or nothing in it is an image or a video.
    """
    files: dict[Path, None] = {}  # in order, each once
    site_folders = {(site.root / name).resolve() for name in SITE_FOLDERS}
    for text in paths:
        for match in _matches(text):
            below = _walk(match, site_folders) if match.is_dir() else [match]
            files.update(dict.fromkeys(below))
    images: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        if is_image(path):
            images[path.parent].append(path)
    folders = [
        sorted(images[folder], key=natural_sort_key)
        for folder in sorted(images, key=natural_sort_key)
    ]
    videos = sorted((path for path in files if is_video(path)), key=natural_sort_key)
    if not videos and not folders:
        raise DataError(
            f"{', '.join(map(str, paths))} holds no video or image "
            f"({len(files)} other files); name footage"
        )
    skipped = [path for path in files if not is_image(path) and not is_video(path)]
    return FootageFiles(videos, folders, skipped)


def _matches(text: str | Path) -> list[Path]:
    """Return the path itself if it exists, else the paths that match it as a glob pattern."""
    try:
        path = Path(text)
        found = [path] if path.exists() else [Path(name) for name in _glob(str(text))]
    except OSError as error:
        raise DataError(f"{text} cannot be looked for ({error.strerror}); check the path") from None
    if not found:
        raise DataError(
            f"{text} matches no file or folder; check the path, and quote patterns with *"
        )
    return sorted(found, key=natural_sort_key)


def _glob(pattern: str) -> list[str]:
    return glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob refuses absolute patterns


def _walk(folder: Path, site_folders: set[Path]) -> Iterable[Path]:
    """Yield the files below a folder, without hidden ones and those of the site."""

    def refuse(error: OSError) -> None:
        raise DataError(
            f"{error.filename} cannot be listed ({error.strerror}); "
            "mend its permissions or leave it out"
        )

    for root, folders, names in os.walk(folder, onerror=refuse):
        parent = Path(root)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (parent / name).resolve() not in site_folders
        )
        yield from (parent / name for name in sorted(names) if not name.startswith("."))
