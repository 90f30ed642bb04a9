"""Recovery after a kill: the next start trusts what is whole, removes what is not, and ends a round
that was killed between publishing and saying so.
"""

from __future__ import annotations

import shutil

from edgeseg.adapt.champion import published_name
from edgeseg.adapt.round_state import (
    FinishedStep,
    RoundState,
    StepName,
    drop_damaged_steps,
    load_rounds,
    round_folder,
    rounds_folder,
    save_round,
)
from edgeseg.atomic_files import remove_leftovers
from edgeseg.site import Site

# The sub-folder that a step fills; the others write single files, each in one rename.
STEP_FOLDERS: dict[StepName, str] = {
    "pseudo-label": "pseudo",
    "train": "train",
    "distill": "distill",
    "export": "bundle",
}


def remove_half_written_files(site: Site) -> None:
    """Remove what killed writers left half-written, in the newest round and beside the rounds."""
    remove_leftovers(rounds_folder(site))
    folders = sorted(rounds_folder(site).glob("[0-9]*"), key=lambda path: path.name)
    for folder in folders[-1:]:
        for leftover in list(folder.rglob(".*.tmp")):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def settle_newest_round(site: Site) -> RoundState | None:
    """Return the newest round, reduced to the steps whose files are whole; None without rounds.

    A round whose bundle is current but which does not know it (it was killed between the rename
    and its own state) is ended as published here.
    """
    states = load_rounds(site)
    if not states:
        return None
    state = states[-1]
    if state.next_step is None:
        return state
    intact = drop_damaged_steps(site, state)
    if len(intact.steps) < len(state.steps):
        _remove_step_folders(site, intact)
        save_round(site, intact)
    if intact.next_step == "publish" and _is_current(site, published_name(site, intact)):
        published = FinishedStep(output={"bundle": published_name(site, intact)})
        intact = intact.model_copy(
            update={
                "steps": {**intact.steps, "publish": published},
                "verdict": "published",
                "reason": str(intact.steps["gate"].output["reason"]),
            }
        )
        save_round(site, intact)
    return intact


def _is_current(site: Site, name: str) -> bool:
    link = site.current_bundle
    return link.is_symlink() and link.resolve().name == name


def _remove_step_folders(site: Site, state: RoundState) -> None:
    """Remove what steps that must be repeated have left, so that damaged results are not taken for
    finished ones.
    """
    for name, folder in STEP_FOLDERS.items():
        if name not in state.steps:
            shutil.rmtree(round_folder(site, state.number) / folder, ignore_errors=True)
