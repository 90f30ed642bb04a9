"""Names by which images and masks belong together, and a proposal where they do not.

Patterns have one "{}", which stands for what an image and its mask have in common:

    a.jpg with a_mask.png                         --mask-name {}_mask
    a.jpg with a.jpg.png                          --mask-name {}.jpg
    a_leftImg8bit.png with a_gtFine_labelIds.png  --image-name {}_leftImg8bit
                                                  --mask-name {}_gtFine_labelIds
    cam0/a.jpg with a.png                         --any-folder
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import ConfigError

PLACE = "{}"
MOST_SAMPLES = 20  # masks that a proposal is derived from; it is tried on all


@dataclass(frozen=True, kw_only=True)
class PairNames:
    """What belongs together.

    Attributes:
        image, mask: Pattern of the file names without suffix.
        any_folder: Names count alone, whatever the folders below the two that were given.
    """

    image: str = PLACE
    mask: str = PLACE
    any_folder: bool = False

    def __post_init__(self) -> None:
        for option, pattern in (("--image-name", self.image), ("--mask-name", self.mask)):
            if pattern.count(PLACE) != 1 or "/" in pattern:
                raise ConfigError(
                    f"{option} {pattern!r} is no pattern of file names; write {{}} once, for what "
                    "an image and its mask have in common, such as {}_mask"
                )

    def image_key(self, stem: Path) -> Path | None:
        """Return what an image is paired by, None if its name does not fit."""
        return self._key(stem, self.image)

    def mask_key(self, stem: Path) -> Path | None:
        """Return what a mask is paired by, None if its name does not fit."""
        return self._key(stem, self.mask)

    def mask_path(self, folder: Path, key: Path) -> Path:
        """Return the mask that would be paired by `key`."""
        return folder / key.with_name(self.mask.replace(PLACE, key.name) + ".png")

    def _key(self, stem: Path, pattern: str) -> Path | None:
        before, _, after = pattern.partition(PLACE)
        name = stem.name
        fits = name.startswith(before) and name.endswith(after)
        if not fits or len(name) <= len(before) + len(after):
            return None
        core = Path(name[len(before) : len(name) - len(after)])
        return core if self.any_folder else stem.parent / core


def propose_names(images: Sequence[Path], masks: Sequence[Path], now: PairNames) -> str:
    """Return a sentence with the options that would pair more files; empty if none would.

    Args:
        images, masks: Stems, relative to the folders.
        now: What they are paired by now.
    """
    best, most = None, _count_pairs(images, masks, now)
    affixes = [(PLACE, PLACE), *_contained_names(images, masks), *_common_affixes(images, masks)]
    for image, mask in affixes:
        for any_folder in (False, True):
            try:
                names = PairNames(image=image, mask=mask, any_folder=any_folder)
            except ConfigError:  # a name with "{}" in it
                continue
            number = _count_pairs(images, masks, names)
            if number > most:
                best, most = names, number
    if best is None:
        return ""
    options = [
        f"--image-name {shlex.quote(best.image)}" if best.image != PLACE else "",
        f"--mask-name {shlex.quote(best.mask)}" if best.mask != PLACE else "",
        "--any-folder" if best.any_folder else "",
    ]
    return f"{most} would pair with {' '.join(filter(None, options))}"


def _count_pairs(images: Sequence[Path], masks: Sequence[Path], names: PairNames) -> int:
    """Return the number of pairs; none if names that are paired by are not unique."""
    image_keys = _unique_keys(images, names.image_key)
    mask_keys = _unique_keys(masks, names.mask_key)
    return len(image_keys & mask_keys)


def _unique_keys(stems: Sequence[Path], key_of: Callable[[Path], Path | None]) -> set[Path]:
    keys = [key for key in map(key_of, stems) if key is not None]
    return set(keys) if len(set(keys)) == len(keys) else set()


def _contained_names(images: Sequence[Path], masks: Sequence[Path]) -> list[tuple[str, str]]:
    """Return patterns where names of masks hold those of images: a_mask holds a."""
    image_names = sorted({stem.name for stem in images}, key=len, reverse=True)
    found: Counter[str] = Counter()
    for mask in masks[:MOST_SAMPLES]:
        held = next((name for name in image_names if name in mask.name), None)
        if held:
            before, _, after = mask.name.partition(held)
            found[f"{before}{PLACE}{after}"] += 1
    return [(PLACE, pattern) for pattern, _ in found.most_common(2)]


def _common_affixes(images: Sequence[Path], masks: Sequence[Path]) -> list[tuple[str, str]]:
    """Return patterns of what all images begin and end with, and all masks."""
    patterns = []
    for stems in (images, masks):
        names = [stem.name for stem in stems]
        before = _common_beginning(names)
        after = _common_beginning([name[len(before) :][::-1] for name in names])[::-1]
        patterns.append((before, after))
    (image_before, image_after), (mask_before, mask_after) = patterns
    if image_before.endswith(mask_before) or mask_before.endswith(image_before):
        shared = min(image_before, mask_before, key=len)
        image_before = image_before.removesuffix(shared)
        mask_before = mask_before.removesuffix(shared)
    if image_after.startswith(mask_after) or mask_after.startswith(image_after):
        shared = min(image_after, mask_after, key=len)
        image_after = image_after.removeprefix(shared)
        mask_after = mask_after.removeprefix(shared)
    return [(f"{image_before}{PLACE}{image_after}", f"{mask_before}{PLACE}{mask_after}")]


def _common_beginning(names: Sequence[str]) -> str:
    """Return what all names begin with: of "img1" and "img2" it is "img"."""
    if not names:
        return ""
    first, last = min(names), max(names)  # between them no name begins otherwise
    length = next(
        (index for index, pair in enumerate(zip(first, last)) if pair[0] != pair[1]), len(first)
    )
    return first[:length]
