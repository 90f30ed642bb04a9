"""The champion, and the runs that its site model and its edge model came from: what a round starts
from.

The way back leads through what is written down anyway: the bundle's provenance names the edge run,
and an edge run names the site model that it was distilled from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.adapt.publish import ancestry, open_champion
from edgeseg.adapt.round_state import RoundState, load_rounds, round_folder
from edgeseg.bundle import FLAVOURS, MANIFEST, Bundle
from edgeseg.bundle.flavours import FP16, FP32, INT8_CPU
from edgeseg.config import LoopConfig
from edgeseg.data.site_needs import require_usable_labels
from edgeseg.digests import file_digest
from edgeseg.disk.stored_paths import find_stored_path, store_path
from edgeseg.errors import AdaptError
from edgeseg.json_text import to_json
from edgeseg.site import Frame, Site, Split
from edgeseg.tracking import require_trackers

INT8_FILE, FP16_FILE = FLAVOURS[INT8_CPU].file, FLAVOURS[FP16].file
JUDGING_SPLITS: tuple[Split, ...] = ("val", "gate")
START_OVER = "run train, distill and export once, then adapt"


@dataclass(frozen=True)
class StartingPoint:
    """The champion and its runs.

    Attributes:
        bundle: The champion.
        site_run: The run of its site model, relative to the site where it lies inside it.
        edge_run: The run of its edge model, likewise.
    """

    bundle: Bundle
    site_run: str
    edge_run: str

    @property
    def int8(self) -> bool:
        """True if the champion ships its INT8 file."""
        return INT8_FILE in self.bundle.manifest.files


def shipped_file(bundle: Bundle) -> str:
    """Return the file of a bundle that devices run, and that the gate therefore measures."""
    return INT8_FILE if INT8_FILE in bundle.manifest.files else FLAVOURS[FP32].file


def find_starting_point(site: Site) -> StartingPoint:
    """Return champion and runs, after checking everything that would otherwise fail hours into the
    round.

    Raises:
        AdaptError: There is no champion, its runs are gone, or they do not fit the configuration.
        BundleError: The champion is damaged.
        ConfigError: A tracker is not installed.
        DataError: A split is empty, or its labels teach or judge nothing.
    """
    bundle = open_champion(site)
    bundle.verify()
    require_trackers((*site.config.train.trackers, *site.config.distill.trackers))
    require_usable_labels(site, *JUDGING_SPLITS)
    if bundle.manifest.classes != site.config.classes:
        raise AdaptError(
            f"{bundle.path.name} knows other classes than edgeseg.toml lists now; {START_OVER}"
        )
    edge_run = _find_run(
        site, bundle.manifest.provenance.get("run"), f"the edge model of {bundle.path.name}"
    )
    _check_network(site.root / edge_run, site.config.distill, "distill")
    site_run = _find_run(
        site,
        _read_table(site.root / edge_run / "origin.json").get("teacher"),
        f"the site model of {bundle.path.name}",
    )
    _check_network(site.root / site_run, site.config.train, "train")
    return StartingPoint(bundle, site_run, edge_run)


def _find_run(site: Site, name: Any, what: str) -> str:  # Any: a value from a JSON file
    """Return the run as a path relative to the site, or absolute where it lies elsewhere.

    Raises:
        AdaptError: There is no such run.
    """
    if isinstance(name, str) and name:
        path = find_stored_path(site.root, name)
        if (path / "weights" / "best.safetensors").is_file():
            return store_path(site.root, path)
    raise AdaptError(f"{what} is not at {name or 'a known place'}; {START_OVER}")


def _check_network(run: Path, config: LoopConfig, section: str) -> None:
    """Refuse a run whose network is not the one that `config` asks for.

    Raises:
        AdaptError: They differ.
    """
    card = _read_table(run / "model.json")
    if (card.get("arch"), card.get("encoder")) != (config.arch, config.encoder):
        raise AdaptError(
            f"the champion's {run} is {card.get('arch')}/{card.get('encoder')} but [{section}] "
            f"asks for {config.arch}/{config.encoder}; make them equal, or {START_OVER}"
        )


def _read_table(path: Path) -> dict[str, Any]:  # Any: JSON values
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
    """Return the name under which the round's bundle is published.

    It carries a digest of the bundle, so that a round which is run anew never meets the bundle of
    its first attempt.
    """
    digest = file_digest(round_folder(site, state.number) / "bundle" / MANIFEST)
    return f"round-{state.number:04d}-{digest[:8]}"


def learned_frames(site: Site) -> set[str]:
    """Return the ids of the frames that the champion has learned from: those selected by the rounds
    in its line.

    What a rejected or rolled-back round selected is new again, and so is what a round selected
    whose list is gone (`lost_selections`): to learn from a frame twice does no harm, while a site
    that could never adapt again would.
    """
    learned: set[str] = set()
    for path in _selections(site):
        learned |= _selected_frames(path) or set()
    return learned


def lost_selections(site: Site) -> list[Path]:
    """Return the lists of selected frames that are missing or damaged, of rounds in the champion's
    line.
    """
    return [path for path in _selections(site) if _selected_frames(path) is None]


def _selections(site: Site) -> list[Path]:
    line = {bundle.path.name for bundle in ancestry(site)}
    published = [
        state
        for state in load_rounds(site)
        if "publish" in state.steps and state.steps["publish"].output["bundle"] in line
    ]
    return [round_folder(site, state.number) / "selected.json" for state in published]


def _selected_frames(path: Path) -> set[str] | None:
    try:
        return set(json.loads(path.read_bytes())["frames"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def round_fingerprint(site: Site, start: StartingPoint, selected: Sequence[str]) -> str:
    """Return a digest of everything that decides how a round ends."""
    config = site.config.model_dump(
        mode="json", include={"classes", "train", "distill", "export", "adapt"}
    )
    config["adapt"].pop("review")  # a round ends as its labels let it, and those are in `masks`
    for table in ("train", "distill"):  # whoever watches a training changes nothing in it
        config[table].pop("trackers")
    masks = frames_digest(site, site.frames("labelled", "val", "gate"))
    parts = [sorted(selected), config, start.bundle.digest, masks]
    return hashlib.sha256(to_json(parts).encode()).hexdigest()


def frames_digest(site: Site, frames: Sequence[Frame]) -> str:
    """Return one digest of frames, their splits and their masks."""
    sha256 = hashlib.sha256()
    for frame in sorted(frames, key=lambda frame: frame.id):
        mask = file_digest(site.path(frame.mask)) if frame.mask is not None else ""
        sha256.update(f"{frame.id} {frame.split} {mask}\n".encode())
    return sha256.hexdigest()
