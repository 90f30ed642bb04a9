"""The images that an export speaks of: found by name among files, or among the site's frames."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from edgeseg.data.label_formats.export_files import MOST_FILES
from edgeseg.errors import DataError
from edgeseg.imaging.file_names import IMAGE_SUFFIXES, is_image
from edgeseg.site import Site


class ImageFinder:
    """Images by name, whatever folders and suffix a label tool put before and behind it."""

    def __init__(
        self,
        files: Iterable[Path],
        site: Site,
        not_images: Collection[Path],
        names: Iterable[str] = (),
    ) -> None:
        """Take in the files that may be meant, and the frames of the site.

        Args:
            not_images: Files, or folders of files, that are masks.
            names: All that will be asked for. Where several differ by their folders alone, none of
                them is given an image that fits another as well.
        """
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in files:
            if is_image(path) and path not in not_images:
                if not_images and any(parent in not_images for parent in path.parents):
                    continue
                self._by_stem[path.stem].append(path)
        self._names: dict[str, set[PurePosixPath]] = defaultdict(set)
        for name in names:
            wanted = _path_of(name)
            self._names[_stem(wanted)].add(wanted)
        self._site = site
        self._frames = {frame.id: frame.image for frame in site.frames()}

    def find(self, name: str, near: Path) -> Path | None:
        """Return the image that a name of an export stands for, None if there is none.

        Whole names count before names without suffix, then the folders that a name has in common
        with a file, from the last one up, then the file nearest to the labels. Frames of the site
        are found by their id.

        Args:
            near: The file that holds the labels.

        Raises:
            DataError: Several files fit equally well, or the file fits another name as well.
        """
        wanted = _path_of(name)
        stem = _stem(wanted)
        found = self._by_stem.get(stem, [])
        if not found:
            image = self._frames.get(stem)
            return self._site.path(image) if image else None
        ranks = [(*_fit(path, wanted), _common_beginning(path.parts, near.parts)) for path in found]
        best = max(ranks)
        if ranks.count(best) > 1:
            same = [str(path) for path, rank in zip(found, ranks) if rank == best]
            raise DataError(
                f"{near}: {name} may be {same[0]} or {same[1]}; name the folder of the images: "
                "edgeseg add labels EXPORT IMAGES"
            )
        chosen = found[ranks.index(best)]
        for other in self._names.get(stem, ()):
            if other != wanted and _fit(chosen, other) >= _fit(chosen, wanted):
                raise DataError(
                    f"{near}: {name}: {chosen} may be its image, or that of {other}; name the "
                    "folder that holds the images of both in their folders: edgeseg add labels "
                    "EXPORT IMAGES"
                )
        return chosen


def _path_of(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))


def _stem(name: PurePosixPath) -> str:
    return name.stem if name.suffix.lower() in IMAGE_SUFFIXES else name.name


def _fit(path: Path, name: PurePosixPath) -> tuple[bool, int]:
    """Return how well a file fits a name that has its stem: the suffix, and common folders."""
    has_suffix = name.suffix.lower() in IMAGE_SUFFIXES
    is_whole = has_suffix and path.name == name.name
    return is_whole, _common_end(path.parent.parts, name.parent.parts)


def images_below(folder: Path) -> list[Path]:
    """Return the images below a folder, or the one image that was named.

    Raises:
        DataError: There is none, or there are too many.
    """
    if folder.is_file() and is_image(folder):
        return [folder]
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(root) / name
            for name in sorted(names)
            if is_image(Path(name)) and not name.startswith(".")
        ]
        if len(found) > MOST_FILES:
            raise DataError(f"{folder} holds more than {MOST_FILES} images; name a folder of fewer")
    if not found:
        raise DataError(f"{folder} holds no images; name the folder of the images of this export")
    return found


def _common_end(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    return _common_beginning(one[::-1], other[::-1])


def _common_beginning(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Return how many parts two paths begin with alike."""
    count = 0
    for left, right in zip(one, other):
        if left != right:
            break
        count += 1
    return count
