"""What a round starts from: the champion, and the runs that its site model and its edge model came
from.

The way back leads through what is written down anyway: the bundle's provenance names the edge run,
and an edge run names the site model it was distilled from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.adapt.publish import ancestry, open_champion
from edgeseg.adapt.round_state import RoundState, file_digest, load_rounds, round_folder
from edgeseg.bundle import FLAVOURS, MANIFEST, Bundle
from edgeseg.bundle.flavours import FP16, FP32, INT8_CPU
from edgeseg.config import LoopConfig
from edgeseg.errors import AdaptError
from edgeseg.site import Frame, Site, Split

INT8_FILE, FP16_FILE = FLAVOURS[INT8_CPU].file, FLAVOURS[FP16].file
REQUIRED_SPLITS: tuple[Split, ...] = ("labelled", "val", "gate")
START_OVER = "run train, distill and export once, then adapt"


@dataclass(frozen=True)
class StartingPoint:
    """The champion and its runs, named as in the bundle: relative to the site where they lie in it."""

    bundle: Bundle
    site_run: str
    edge_run: str

    @property
    def int8(self) -> bool:
        """Whether the INT8 file is what it ships."""
        return INT8_FILE in self.bundle.manifest.files


def shipped_file(bundle: Bundle) -> str:
    """The file of a bundle that devices run, and that the gate therefore measures."""
    return INT8_FILE if INT8_FILE in bundle.manifest.files else FLAVOURS[FP32].file


def find_starting_point(site: Site) -> StartingPoint:
    """Champion and runs, after everything was checked that would otherwise fail hours into the
    round.

    Raises:
        AdaptError: there is no champion, its runs are gone, or they do not fit the configuration.
        BundleError: the champion is damaged.
        DataError: a split is empty.
    """
    bundle = open_champion(site)
    bundle.verify()
    for split in REQUIRED_SPLITS:
        site.require(split)
    if bundle.manifest.classes != site.config.classes:
        raise AdaptError(
            f"{bundle.path.name} knows other classes than edgeseg.toml lists now; {START_OVER}"
        )
    edge = _run(
        site, bundle.manifest.provenance.get("run"), f"the edge model of {bundle.path.name}"
    )
    _fits(site.root / edge, site.config.distill, "distill")
    teacher = _run(
        site,
        _read(site.root / edge / "origin.json").get("teacher"),
        f"the site model of {bundle.path.name}",
    )
    _fits(site.root / teacher, site.config.train, "train")
    return StartingPoint(bundle, teacher, edge)


def _run(site: Site, name: Any, what: str) -> str:  # Any: a value from a JSON file
    """The run as a path relative to the site, or absolute where it lies elsewhere; a site may have
    been moved since.
    """
    if isinstance(name, str) and name:
        moved = Path(*Path(name).parts[-3:])  # runs/<verb>/expN or rounds/NNNN/<step>
        for path in (site.root / name, site.root / moved):
            if (path / "weights" / "best.safetensors").is_file():
                inside = path.resolve().is_relative_to(site.root.resolve())
                return str(path.resolve().relative_to(site.root.resolve()) if inside else path)
    raise AdaptError(f"{what} is not at {name or 'a known place'}; {START_OVER}")


def _fits(run: Path, config: LoopConfig, section: str) -> None:
    card = _read(run / "model.json")
    if (card.get("arch"), card.get("encoder")) != (config.arch, config.encoder):
        raise AdaptError(
            f"the champion's {run} is {card.get('arch')}/{card.get('encoder')} but [{section}] asks for "
            f"{config.arch}/{config.encoder}; make them equal, or {START_OVER}"
        )


def _read(path: Path) -> dict[str, Any]:  # Any: JSON values
    try:
        table = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise AdaptError(
            f"{path} is missing, so the champion is no distilled model of this site; {START_OVER}"
        ) from None
    except (OSError, ValueError) as error:
        raise AdaptError(f"{path} cannot be read ({error}); restore it, or {START_OVER}") from None
    return table if isinstance(table, dict) else {}


def published_name(site: Site, state: RoundState) -> str:
    """Under what name the round's bundle is published: a round that is run anew never meets its
    former self.
    """
    return f"round-{state.number:04d}-{file_digest(round_folder(site, state.number) / 'bundle' / MANIFEST)[:8]}"


def learned_frames(site: Site) -> set[str]:
    """Frames that the champion has learned from: those selected by the rounds in its line.

    What a rejected or rolled-back round selected is new again.
    """
    line = {bundle.path.name for bundle in ancestry(site)}
    found: set[str] = set()
    for state in load_rounds(site):
        done = state.steps.get("publish")
        if done is not None and done.output["bundle"] in line:
            found |= set(
                json.loads((round_folder(site, state.number) / "selected.json").read_bytes())[
                    "frames"
                ]
            )
    return found


def round_fingerprint(site: Site, base: StartingPoint, chosen: Sequence[str]) -> str:
    """Everything that decides how a round ends."""
    config = site.config.model_dump(
        mode="json", include={"classes", "train", "distill", "export", "adapt"}
    )
    bundle = file_digest(base.bundle.path / MANIFEST)
    masks = frames_digest(site, site.frames("labelled", "val", "gate"))
    return hashlib.sha256(json.dumps([sorted(chosen), config, bundle, masks]).encode()).hexdigest()


def frames_digest(site: Site, frames: Sequence[Frame]) -> str:
    """One digest of frames and masks."""
    summed = hashlib.sha256()
    for frame in sorted(frames, key=lambda frame: frame.id):
        mask = file_digest(site.path(frame.mask)) if frame.mask is not None else ""
        summed.update(f"{frame.id} {frame.split} {mask}\n".encode())
    return summed.hexdigest()
