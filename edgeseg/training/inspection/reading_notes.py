"""What a person has to know about a batch that is shown: whether it is the very one of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ReadingFacts:
    """How a batch was read.

    Attributes:
        step: Of the training.
        method: Its name.
        frames: Whether the site's frames and labels are those that the run began with.
        is_staged: The method trains in stages, of which the frames alone are shown.
        checkpoint: The steps after which the checkpoint was written that is looked at, if any.
        is_exact: The run goes on from there with the very same batch.
        lacks_state: The weights are not all that pseudo-labels are made with.
        is_trained: There are weights of a training at all.
        footage_teaches: The step is behind the warm-up.
        processes: That the training means.
        on_gpu: Where the batch was made; `means_gpu` where the training makes it.
        may_differ_in_parts: The training itself measures in how many parts it takes a batch.
    """

    step: int
    method: str
    frames: Literal["same", "other", "unknown"]
    is_staged: bool
    checkpoint: int | None
    is_exact: bool
    lacks_state: bool
    is_trained: bool
    footage_teaches: bool
    processes: int
    on_gpu: bool
    means_gpu: bool
    may_differ_in_parts: bool


def notes_on_reading(facts: ReadingFacts) -> list[str]:
    """Return sentences on how far what is shown is what the training read, and will read."""
    step, notes = facts.step, list[str]()
    reads = {
        "same": f"Frames, crops, colors and boxes are those of step {step}",
        "other": "The site's frames or labels are others than this run began with, so this is "
        f"not what its step {step} read, but what it would read now",
        "unknown": "This run does not tell which frames and labels it began with: frames and "
        f"crops are those of step {step} if the site has not changed since",
    }[facts.frames]
    if facts.is_staged:
        notes.append(
            f"{facts.method} trains in stages; these are its frames after scale, crop and "
            "flip, with the newest pseudo-labels of the run, if there are any."
        )
    elif facts.checkpoint == step and facts.is_exact:
        notes.append(
            f"The checkpoint after {facts.checkpoint} steps goes on with this very batch, "
            "pseudo-labels included."
        )
    elif facts.checkpoint is not None:
        notes.append(
            f"{reads}; pseudo-labels are made by the teacher of the checkpoint after "
            f"{facts.checkpoint} steps."
        )
    elif facts.lacks_state:
        notes.append(
            f"{reads}; the run has no checkpoint, and its weights are not all that "
            f"{facts.method} makes pseudo-labels with, so those are not shown."
        )
    elif facts.is_trained:
        notes.append(
            f"{reads}; the run has no checkpoint, so pseudo-labels are made by its last teacher."
        )
    else:
        notes.append(
            "Nothing is trained yet, so pseudo-labels would be noise and are not shown; what "
            "is mixed by class rather than by box depends on them."
        )
    if not facts.footage_teaches:
        notes.append(f"Step {step} is in the warm-up: unlabelled frames do not teach yet.")
    first = f", the first of {facts.processes} processes" if facts.processes > 1 else ""
    where = "GPU" if facts.on_gpu else "CPU"
    notes.append(f"Random numbers are those of a training on the {where}{first}.")
    if facts.means_gpu and where == "CPU":
        notes.append(
            "This training means a GPU, which draws other crops, colors and boxes, of the "
            "same kind; `edgeseg browse --gpu` shows its own, and takes memory there."
        )
    if facts.may_differ_in_parts:
        notes.append(
            "A training with max_memory measures in how many parts it takes a batch; here it "
            "is as many as there can be."
        )
    return notes
