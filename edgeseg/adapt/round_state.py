"""The state of a round: `rounds/NNNN/state.json`, replaced atomically after every step.

It is what a round goes on from after a kill: the first step that is not in it is the next one. A
step counts as done only while the files it vouches for are still there with the digests they had
(`drop_damaged_steps`), so a folder that was cut off, half deleted or edited sends the round back to
the first step whose result is gone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError

from edgeseg.atomic_files import write_json
from edgeseg.config import Section
from edgeseg.digests import file_digest
from edgeseg.errors import AdaptError
from edgeseg.site import Site

# In the order in which they run. "pseudo-label" is the drift check.
StepName = Literal[
    "pull", "select", "review", "pseudo-label", "train", "distill", "export", "gate", "publish"
]
STEPS: tuple[StepName, ...] = get_args(StepName)
Verdict = Literal["published", "rejected", "stopped", "abandoned"]


class FinishedStep(Section):
    """A finished step.

    Attributes:
        output: What later steps and reports need.
        files: The sha256 of each file that the step vouches for, by path relative to the round's
            folder.
        seconds: The time it took, over the last start only.
    """

    output: dict[str, Any]  # Any: JSON values, each step knows its own
    files: dict[str, str] = Field(default_factory=dict)
    seconds: float = 0.0


class RoundState(Section):
    """The content of `state.json`.

    Attributes:
        format: The version of the format.
        number: The number of the round, from 1.
        started: The time of its first start, ISO 8601 in UTC.
        logs: Folders that records are pulled from.
        steps: The finished steps in order.
        verdict: How the round ended; None while it has not. "stopped" by an alarm, "abandoned" by a
            person.
        reason: One sentence about the verdict.
    """

    format: Literal[1] = 1
    number: int = Field(ge=1)
    started: str
    logs: tuple[str, ...] = ()
    steps: dict[StepName, FinishedStep] = Field(default_factory=dict)
    verdict: Verdict | None = None
    reason: str = ""

    @property
    def next_step(self) -> StepName | None:
        """The first step that is not done; None when the round is over."""
        if self.verdict is not None:
            return None
        return next(
            (name for name in STEPS if name not in self.steps and not self.went_past(name)), None
        )

    def went_past(self, name: StepName) -> bool:
        """Return whether the round has no such step: older versions began it without a review."""
        later = STEPS[STEPS.index(name) + 1 :]
        return name == "review" and any(step in self.steps for step in later)

    def before_step(self, name: StepName) -> RoundState:
        """Return the state without `name` and everything after it."""
        kept = STEPS[: STEPS.index(name)]
        return self.model_copy(
            update={"steps": {step: done for step, done in self.steps.items() if step in kept}}
        )


def rounds_folder(site: Site) -> Path:
    """Return the folder of all rounds of a site."""
    return site.root / "rounds"


def round_folder(site: Site, number: int) -> Path:
    """Return the folder of one round."""
    return rounds_folder(site) / f"{number:04d}"


def load_rounds(site: Site) -> list[RoundState]:
    """Return the rounds of a site in order; a folder whose state was never written is none yet.

    Raises:
        AdaptError: A state file is damaged.
    """
    folders = [path for path in rounds_folder(site).glob("[0-9]*") if path.name.isdigit()]
    states = (load_round(path) for path in sorted(folders, key=lambda path: int(path.name)))
    return [state for state in states if state is not None]


def load_round(folder: Path) -> RoundState | None:
    """Return the state in `folder`, or None where none was written yet.

    Raises:
        AdaptError: It is damaged.
    """
    path = folder / "state.json"
    try:
        state = RoundState.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError) as error:
        what = str(error).splitlines()[0]
        raise AdaptError(
            f"{path} cannot be read ({what}); move {folder} away and the round starts anew"
        ) from None
    if state.number != int(folder.name):
        raise AdaptError(
            f"{path} belongs to round {state.number:04d}; move {folder} away or give it its own "
            "name back"
        )
    return state


def save_round(site: Site, state: RoundState) -> None:
    """Write `state.json`."""
    write_json(round_folder(site, state.number) / "state.json", state.model_dump(mode="json"))


def drop_damaged_steps(site: Site, state: RoundState) -> RoundState:
    """Return `state` without the steps whose files are gone or changed, and without what was built
    on them.
    """
    folder = round_folder(site, state.number)
    for name in STEPS:
        done = state.steps.get(name)
        if done is None and state.went_past(name):
            continue
        if done is None:
            return state.before_step(name)
        for file, expected in done.files.items():
            if not (folder / file).is_file() or file_digest(folder / file) != expected:
                return state.before_step(name)
    return state
