"""A site: the folder with `edgeseg.toml`, its frames, masks and splits, and everything made from
them.

edgeseg.toml      the configuration
frames.jsonl      one line per frame, the only index
frames/           images as JPEG or PNG, by camera
masks/            8-bit PNGs of class ids, 255 = ignore
runs/<verb>/expN  results of train, distill, infer, ...
bundles/          published bundles; `current` points at the one in use
rounds/           adaptation rounds
cache/            decoded frames; may be deleted at any time
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeseg.atomic_files import write_atomic
from edgeseg.config import CONFIG_NAME, SiteConfig, load_config
from edgeseg.errors import DataError, SiteNotFoundError

Split = Literal["unlabelled", "labelled", "val", "gate"]
FrameOrigin = Literal["footage", "labels", "log"]
SPLITS: tuple[Split, ...] = ("labelled", "unlabelled", "val", "gate")
HELD_OUT: tuple[Split, ...] = ("val", "gate")  # never trained on


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One image of the site.

    Attributes:
        id: unique in the site and safe as a file name; holds the camera and a digest of the
            content.
        camera: who took it.
        time: seconds since the start of its source.
        source: the file it came from, as the user named it.
        split: where it may be used.
        image, mask: paths relative to the site; no mask for an unlabelled frame.
        height, width: pixels.
        hash: 64-bit dHash in hex, for near-duplicates.
        origin: "footage", "labels" or "log" (came back from a device).
        withheld: unlabelled, but too near a val or gate frame to be trained on
            (edgeseg/data/leakage.py).
    """

    id: str
    camera: str
    time: float
    source: str
    split: Split
    image: str
    mask: str | None
    height: int
    width: int
    hash: str
    origin: FrameOrigin
    withheld: bool = False


class Site:
    """The folder and its configuration; frames are read from the index when asked for."""

    def __init__(self, root: Path, config: SiteConfig) -> None:
        self.root = root
        self.config = config

    @classmethod
    def open(cls, start: Path | None = None, overrides: list[str] | None = None) -> Site:
        """The site at `start` or above it, as git finds its repository.

        Raises:
            SiteNotFoundError: There is none.
            ConfigError: Its configuration is wrong.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / CONFIG_NAME).is_file():
                return cls(folder, load_config(folder / CONFIG_NAME, overrides))
        raise SiteNotFoundError(
            f"no {CONFIG_NAME} in {start} or above it; go into a site or make one with "
            "`edgeseg init DIR`"
        )

    @property
    def index(self) -> Path:
        return self.root / "frames.jsonl"

    @property
    def current_bundle(self) -> Path:
        return self.root / "bundles" / "current"

    def frames(self, *splits: Split) -> list[Frame]:
        """The frames of the given splits without withheld ones, or all frames, in camera and time
        order.

        Raises:
            DataError: the index is damaged.
        """
        if not self.index.exists():
            return []
        frames = []
        for number, line in enumerate(self.index.read_text().splitlines(), 1):
            try:
                frames.append(Frame(**json.loads(line)))
            except (ValueError, TypeError):
                raise DataError(
                    f"{self.index} line {number} is damaged; restore the file or add the "
                    "footage again"
                ) from None
        return [
            frame
            for frame in frames
            if not splits or (frame.split in splits and not frame.withheld)
        ]

    def save_frames(self, frames: Iterable[Frame]) -> None:
        """Replace the index by `frames`, sorted by camera, source and time."""
        ordered = sorted(
            frames, key=lambda frame: (frame.camera, frame.source, frame.time, frame.id)
        )
        write_atomic(
            self.index, "".join(json.dumps(dataclasses.asdict(f)) + "\n" for f in ordered).encode()
        )

    def require(self, split: Split, least: int = 1) -> list[Frame]:
        """The frames of `split`.

        Raises:
            DataError: there are fewer than `least`.
        """
        frames = self.frames(split)
        if len(frames) < least:
            how = "footage PATH" if split == "unlabelled" else "labels IMAGES MASKS"
            raise DataError(
                f"the site has {len(frames)} {split} frames but needs at least {least}; "
                f"add some with `edgeseg add {how}`"
            )
        return frames

    def path(self, relative: str) -> Path:
        """An image or mask of the index as a path that stays inside the site.

        Raises:
            DataError: it leads out of the site.
        """
        path = (self.root / relative).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise DataError(
                f"{relative} in {self.index} leads out of the site; add the footage again"
            )
        return path

    def new_run(self, verb: str) -> Path:
        """Make and return the next free `runs/<verb>/expN`."""
        return new_run(self.root, verb)

    def newest_run(self, verb: str) -> Path | None:
        """The newest `runs/<verb>/expN`, finished or not."""
        runs = _runs(self.root, verb)
        return runs[-1] if runs else None

    def last_run(self, verb: str) -> Path:
        """The newest `runs/<verb>/expN` that holds finished weights.

        Raises:
            DataError: there is none.
        """
        done = [path for path in _runs(self.root, verb) if (path / "metrics.json").exists()]
        if not done:
            raise DataError(f"the site has no finished {verb} run; run `edgeseg {verb}` first")
        return done[-1]


def _runs(root: Path, verb: str) -> list[Path]:
    found = [p for p in (root / "runs" / verb).glob("exp*") if p.name[3:].isdigit()]
    return sorted(found, key=lambda path: int(path.name[3:]))


def new_run(root: Path, verb: str) -> Path:
    """Make and return the next free `root/runs/<verb>/expN`."""
    runs = _runs(root, verb)
    number = int(runs[-1].name[3:]) + 1 if runs else 1
    while True:
        path = root / "runs" / verb / f"exp{number}"
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            number += 1
