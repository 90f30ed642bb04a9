"""The videos and images that files, folders and glob patterns on the command line name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.imaging.file_names import is_image, is_video, natural_sort_key
from edgeseg.imaging.footage_walk import is_named, named_files
from edgeseg.site import SITE_FOLDERS, Site


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
    site_folders = [site.root / name for name in sorted(SITE_FOLDERS)]
    for text in paths:
        files.update(dict.fromkeys(_named_files(text, site_folders)))
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


def _named_files(text: str | Path, site_folders: list[Path]) -> list[Path]:
    try:
        if files := named_files(text, leave_out=site_folders):
            return files
        if is_named(text):
            return []
    except OSError as error:
        raise DataError(
            f"{error.filename or text} cannot be read ({error.strerror}); "
            "check its name and permissions, or leave it out"
        ) from None
    raise DataError(f"{text} matches no file or folder; check the path, and quote patterns with *")
