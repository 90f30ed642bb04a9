"""What a tracker is, and the run that it tracks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgeseg.atomic_files import write_json
from edgeseg.imaging.array_types import Image

FOLDER = "tracking"  # of a site: what trackers keep of all its runs


class Tracker(Protocol):
    """Takes figures and pictures of one run, step by step."""

    def log(self, step: int, figures: Mapping[str, float], pictures: Mapping[str, Image]) -> None:
        """Take what was measured after a step.

        Args:
            step: The number of steps done.
            figures: Finite numbers by name; a slash groups them, as in "iou/road".
            pictures: (H, W, 3) RGB by name.
        """

    def close(self, *, finished: bool) -> None:
        """Write everything out; the run is over, or was broken off and may be resumed."""


@dataclass(frozen=True)
class TrackedRun:
    """A training as trackers name it.

    Attributes:
        root: The folder of the site.
        site: The name of the site.
        folder: The run folder.
        config: The settings of the run, as JSON has them.
    """

    root: Path
    site: str
    folder: Path
    config: Mapping[str, Any]  # Any: numbers, texts, lists and tables of them

    @property
    def name(self) -> str:
        """The run in the site: "train/exp3", "compare/exp1/suponly-0", "rounds/0002/distill"."""
        folder, root = self.folder.resolve(), self.root.resolve()
        inside = folder.relative_to(root) if folder.is_relative_to(root) else Path(folder.name)
        name = inside.as_posix().removeprefix("runs/")
        return name.encode(errors="replace").decode()  # names of folders may be no UTF-8

    @property
    def group(self) -> str:
        """What stands before the last slash of the name: runs of one comparison, or of one verb."""
        return self.name.rpartition("/")[0] or self.site

    def settings(self) -> dict[str, Any]:
        """Return the settings with dots between the names of tables: "u2pl.alpha"."""
        return dict(_flatten(self.config, ""))

    def remembered(self, tracker: str) -> str | None:
        """Return the id under which a tracker knows this run, if it was tracked before."""
        try:
            return str(json.loads((self.folder / f"{tracker}.json").read_bytes())["run"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, tracker: str, run: str) -> None:
        """Keep the id of this run, so that it goes on as the same one when it is resumed."""
        write_json(self.folder / f"{tracker}.json", {"run": run})


def finite(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the figures that are numbers; trackers refuse, or draw wrongly, what is none."""
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}


def _flatten(table: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
