"""Which weights of a training ship: the averaged ones of the last step, unless the training fell.

The highest of many evaluations is the luckiest as well, the more so the fewer val frames there are
(docs/decisions/0018). So evaluations only watch. The candidate is the end of the best three
evaluations in a row; it ships in place of the last weights if val says that it is better, by more
than the choice of frames explains.
"""

from __future__ import annotations

import copy
from pathlib import Path

from edgeseg.distributed import copy_from_main
from edgeseg.metrics import Counts, paired_bootstrap
from edgeseg.models import Network
from edgeseg.models.model_files import load_weights, save_weights
from edgeseg.training.devices import Devices
from edgeseg.training.training_checkpoint import TrainingState
from edgeseg.training.validation import ShippedWeights, Validation

LARGE_SHARE = 0.1  # of the time, above which a note says what evaluations cost
LONG_SECONDS = 60.0  # of evaluations, below which nobody minds their share


def choose_shipped(
    run: Path,
    teacher: Network,
    state: TrainingState,
    validation: Validation,
    last: Counts,
    devices: Devices,
) -> ShippedWeights:
    """Leave the weights that ship in `weights/best.safetensors`; needs all processes.

    Args:
        run: The run folder, whose `best` weights are the candidate's.
        teacher: The averaged network after the last step.
        state: The finished training.
        validation: The val frames.
        last: (frames, C, C) of `teacher` at `validation.final_places`.
        devices: This process among those that train together.
    """
    if 0 < state.best_step < state.step and state.best > state.rows[-1]["miou_ema"]:
        candidate = copy.deepcopy(teacher)
        if devices.is_main:
            load_weights(candidate, run / "weights" / "best.safetensors")
        copy_from_main(candidate.state_dict().values())
        counts = validation.count(candidate, validation.final_places, devices.device)
        blocks = validation.blocks(validation.final_places)
        if paired_bootstrap(counts, last, block=blocks).low > 0:
            return ShippedWeights(state.best_step, counts)
    if devices.is_main:
        save_weights(run, "best", teacher)
    return ShippedWeights(state.step, last)


def run_notes(
    state: TrainingState, validation: Validation, last: Counts, shipped: ShippedWeights
) -> list[str]:
    """Return sentences on what somebody should know of a finished run."""
    notes = []
    if shipped.step != state.step:
        fallen = ShippedWeights(state.step, last).miou
        notes.append(
            f"the training fell from mIoU {shipped.miou:.1f} at step {shipped.step} to "
            f"{fallen:.1f}, by more than chance over val frames, so the weights of step "
            f"{shipped.step} ship"
        )
    share = state.evaluation_seconds / max(state.seconds, 1e-9)
    if share > LARGE_SHARE and state.evaluation_seconds > LONG_SECONDS:
        notes.append(
            f"evaluations took {100 * share:.0f} % of the time; lower eval_frames (now "
            f"{len(validation.places)} val frames) or raise eval_every"
        )
    return notes
