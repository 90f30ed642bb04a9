"""A site: the folder of a deployment, with its frames, masks and splits and all made from them.

edgeseg.toml      the configuration
frames.jsonl      one line per frame, the only index
depth.json        how pictures of more than 8 bits were scaled, where there are any
frames/           images as JPEG or PNG, by camera
masks/            8-bit PNGs of class ids, 255 = ignore
runs/<verb>/expN  results of train, distill, infer, ...
bundles/          published bundles; `current` points at the one in use
rounds/           adaptation rounds
predictions/      masks that left by `log export`, to tell what a person changed of them
tracking/         what the trackers of trainings keep, where `trackers` names some
labelling/        drafts of masks, and what a person said about frames
cache/            decoded frames; may be deleted at any time
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

from edgeseg.atomic_files import write_atomic
from edgeseg.config import CONFIG_NAME, SiteConfig, load_config
from edgeseg.errors import ConfigError, DataError, SiteNotFoundError
from edgeseg.json_text import to_json
from edgeseg.site.frame import Frame, Split
from edgeseg.site.run_folders import make_run_folder, run_folders

# What a site holds: never footage, and nothing else is written there.
SITE_FOLDERS = frozenset(
    {
        "bundles",
        "cache",
        "frames",
        "labelling",
        "masks",
        "predictions",
        "rounds",
        "runs",
        "tracking",
    }
)


class Site:
    """A site's folder and configuration; frames are read from the index when asked for."""

    def __init__(self, root: Path, config: SiteConfig) -> None:
        self.root = root
        self.config = config

    @classmethod
    def open(cls, start: Path | str | None = None, overrides: list[str] | None = None) -> Site:
        """Open the site at `start` or above it, as git finds its repository.

        Args:
            start: A folder; the working directory if left out.
            overrides: Settings for this object alone, such as `["train.steps=2000"]`.

        Raises:
            SiteNotFoundError: There is none.
            ConfigError: Its configuration is wrong.
        """
        begin = Path(start or Path.cwd()).resolve()
        for folder in (begin, *begin.parents):
            if (folder / CONFIG_NAME).is_file():
                return cls(folder, load_config(folder / CONFIG_NAME, overrides))
        raise SiteNotFoundError(
            f"no {CONFIG_NAME} in {begin} or above it; go into a site or make one with "
            "`edgeseg init DIR`"
        )

    @property
    def index(self) -> Path:
        """The file that lists all frames."""
        return self.root / "frames.jsonl"

    @property
    def current_bundle(self) -> Path:
        """The link to the bundle in use."""
        return self.root / "bundles" / "current"

    def frames(self, *splits: Split) -> list[Frame]:
        """Read the frames of the given splits without withheld ones, or all frames.

        Returns:
            Frames in the order of camera, source and time.

        Raises:
            DataError: The index is damaged.
        """
        if not self.index.exists():
            return []
        frames = []
        for number, line in enumerate(self.index.read_text("utf-8").splitlines(), 1):
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
        lines = (to_json(dataclasses.asdict(frame)) + "\n" for frame in ordered)
        write_atomic(self.index, "".join(lines).encode())

    def require(self, split: Split, minimum: int = 1) -> list[Frame]:
        """Read the frames of `split`.

        Raises:
            DataError: There are fewer than `minimum`.
        """
        frames = self.frames(split)
        if len(frames) < minimum:
            how = "footage PATH" if split == "unlabelled" else "labels IMAGES MASKS"
            raise DataError(
                f"the site has {len(frames)} {split} frames but needs at least {minimum}; "
                f"add some with `edgeseg add {how}`"
            )
        return frames

    def path(self, relative: str) -> Path:
        """Return an image or mask of the index as a path that stays inside the site.

        Raises:
            DataError: It leads out of the site.
        """
        path = (self.root / relative).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise DataError(
                f"{relative} in {self.index} leads out of the site; add the footage again"
            )
        return path

    def make_run_folder(self, verb: str) -> Path:
        """Make and return the next free `runs/<verb>/expN`."""
        return make_run_folder(self.root, verb)

    def runs(self, verb: str) -> list[Path]:
        """Return all `runs/<verb>/expN`, finished or not, in the order of their numbers."""
        return run_folders(self.root, verb)

    def newest_run(self, verb: str) -> Path | None:
        """Return the newest `runs/<verb>/expN`, finished or not."""
        runs = run_folders(self.root, verb)
        return runs[-1] if runs else None

    def run_folder(self, verb: str, *, resume: bool) -> Path:
        """Return the newest run to resume, or make a fresh folder.

        Raises:
            ConfigError: There is nothing to resume.
        """
        if not resume:
            return self.make_run_folder(verb)
        newest = self.newest_run(verb)
        if newest is None:
            raise ConfigError(
                f"there is no {verb} run to resume in {self.root}; start one without --resume"
            )
        return newest

    def has_finished_run(self, verb: str) -> bool:
        """Return whether a `runs/<verb>/expN` holds finished weights."""
        return any((path / "metrics.json").exists() for path in run_folders(self.root, verb))

    def newest_finished_run(self, verb: str) -> Path:
        """Return the newest `runs/<verb>/expN` that holds finished weights.

        Raises:
            DataError: There is none.
        """
        runs = run_folders(self.root, verb)
        finished = [path for path in runs if (path / "metrics.json").exists()]
        if not finished:
            raise DataError(f"the site has no finished {verb} run; run `edgeseg {verb}` first")
        return finished[-1]
