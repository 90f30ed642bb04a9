"""A round of adaptation as a durable state machine: pull, select, review, pseudo-label (the
drift check), train, distill, export, gate, publish.

`rounds/NNNN/state.json` is replaced after every step (`round_state`). Whatever kills the process,
the next start goes on with the first step that is not done (`round_recovery`), and a step that was
cut off continues (training from its checkpoint) or is repeated. The champion is touched by one
rename, at the very end; until then a round can be killed, repeated or given up and no device
notices.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgeseg.adapt.publish import open_champion, restore_parent
from edgeseg.adapt.records.record_import import check_log_folders
from edgeseg.adapt.round_context import RoundContext, TrainingSteps, real_training_steps
from edgeseg.adapt.round_recovery import remove_half_written_files, settle_newest_round
from edgeseg.adapt.round_state import (
    FinishedStep,
    RoundState,
    StepName,
    load_rounds,
    round_folder,
    rounds_folder,
    save_round,
)
from edgeseg.adapt.round_steps import STEP_FUNCTIONS
from edgeseg.atomic_files import lock_folder
from edgeseg.bundle import Bundle
from edgeseg.config import SiteConfig, load_config, load_saved_config
from edgeseg.digests import file_digest
from edgeseg.disk.faults import describe_disk_fault, is_disk_fault
from edgeseg.disk.stored_paths import find_stored_path, store_path
from edgeseg.errors import AdaptError
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site

FREE_KEYS = {"review"}  # of the configuration, that may change while a round is open


@dataclass(frozen=True)
class RoundResult:
    """A round that came to its end.

    Attributes:
        number: The number of the round, from 1.
        folder: The folder `rounds/NNNN` with everything that the round has made.
        verdict: "published" or "rejected"; the other ends are errors.
        reason: One sentence with the figures.
        bundle: The folder of the new champion; None after a rejection.
        figures: The figures of the gate: "before" and "after" (the measured file, its mIoU and
            FPS), "difference" (mIoU points with their 95 % interval) and "classes" (IoU before and
            after).
    """

    number: int
    folder: Path
    verdict: str
    reason: str
    bundle: Path | None
    figures: dict[str, Any]  # Any: numbers and tables of them


def run_round(
    site: Site,
    logs: Sequence[Path | str] = (),
    *,
    resume: bool = False,
    training: TrainingSteps | None = None,
    report: ProgressReporter | None = None,
) -> RoundResult:
    """Run one round of adaptation, or continue the one that was cut off.

    The round pulls the records of `logs` into the site, selects those worth learning from, trains
    the site model and the edge model on, exports a bundle, and compares it with the one in use on
    the `gate` frames. If it is no worse, `bundles/current` points at it afterwards; otherwise the
    bundle in use stays, and the result says why. This takes as long as the two trainings and the
    export; how the site must be prepared is told by the errors.

    A round that was cut off, by an error, Ctrl-C or a kill, is continued by the next call, with the
    step that was not finished and under the configuration that it began with.

    Args:
        site: The site, whose `bundles/current` is a bundle that it has exported.
        logs: Folders of frame logs as devices wrote them, or copies. A round that is waiting for
            more records takes them too, one that has already selected leaves them to the next.
        resume: Continue only; without it a new round begins when none is open.
        training: Stand-ins for the work that takes hours; the real work if left out.
        report: Where progress is told; nowhere if left out.

    Returns:
        The verdict with its figures: published or rejected.

    Raises:
        AdaptError: The round cannot start or go on, or an alarm stopped it.
        EdgesegError: A step failed, in a subclass of its own (`TrainError`, `DataError`,
            `ExportError`, ...). Once its cause is removed the round goes on where it was.
    """
    report = report or NullReporter()
    folders = [Path(log) for log in logs]
    check_log_folders(folders)
    with lock_folder(rounds_folder(site), AdaptError):
        state = _open_round(site, folders, resume, report)
        while (step := state.next_step) is not None:
            state = _run_step(site, state, step, training or real_training_steps(), report)
    return _result_of(site, state)


def abandon(site: Site) -> RoundState:
    """End the open round; its records are free for the next one.

    Raises:
        AdaptError: No round is open, or it is running.
    """
    with lock_folder(rounds_folder(site), AdaptError):
        state = settle_newest_round(site)
        if state is None or state.next_step is None:
            raise AdaptError(
                "no round is open, so there is nothing to give up; see `edgeseg adapt --status`"
            )
        state = state.model_copy(
            update={"verdict": "abandoned", "reason": f"given up before {state.next_step}"}
        )
        save_round(site, state)
        return state


def rollback(site: Site) -> tuple[Bundle, Bundle]:
    """Point `bundles/current` back at the champion's parent.

    Works beside a running round, which then judges its challenger against the parent.

    Returns:
        The bundle that was current and the one that is now.

    Raises:
        AdaptError: There is nothing to go back to.
        BundleError: The parent is damaged.
    """
    try:
        with lock_folder(rounds_folder(site), AdaptError):
            # A round that was killed right after it published must not publish again.
            settle_newest_round(site)
    except AdaptError:
        pass  # a round is running: it notes its own end
    return restore_parent(site)


def _open_round(site: Site, logs: list[Path], resume: bool, report: ProgressReporter) -> RoundState:
    """Return the state to go on from: that of the open round, or of a new one."""
    remove_half_written_files(site)
    was_open = any(state.next_step is not None for state in load_rounds(site)[-1:])
    state = settle_newest_round(site)
    folders = tuple(store_path(site.root, folder) for folder in logs)
    if state is not None and was_open and state.next_step is None:
        return state  # all that was missing was to say that it had published
    if state is None or state.next_step is None:
        if resume:
            raise AdaptError(
                "no round is open, so there is nothing to resume; start one with "
                "`edgeseg adapt LOGDIR`"
            )
        number = 1 if state is None else state.number + 1
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        state = RoundState(number=number, started=now, logs=folders)
    elif "select" not in state.steps:  # it waits for records: what has come since counts too
        state = state.before_step("pull").model_copy(update={"logs": folders or state.logs})
    else:
        _refuse_changed_configuration(site, state)
        report.say(f"round {state.number:04d} goes on with {state.next_step}")
        if left_for_next := sorted(set(folders) - set(state.logs)):
            report.say(f"{', '.join(left_for_next)} will be pulled by the next round")
    save_round(site, state)
    return state


def _refuse_changed_configuration(site: Site, state: RoundState) -> None:
    """Refuse changes that the open round could not honor any more.

    Raises:
        AdaptError: There are some; it names the keys.
    """
    begun = load_config(round_folder(site, state.number) / "config.toml")
    changed = ["classes"] if begun.classes != site.config.classes else []
    for section in ("train", "distill", "export", "adapt"):
        now = dict(getattr(site.config, section))
        before = dict(getattr(begun, section))
        changed += [
            f"{section}.{key}"
            for key, value in before.items()
            if now[key] != value and key not in FREE_KEYS
        ]
    if changed:
        raise AdaptError(
            f"round {state.number:04d} began with other values of {', '.join(changed)}; take the "
            "change back to go on, or end the round with `edgeseg adapt --abandon` and start a new "
            "one"
        )


def _run_step(
    site: Site, state: RoundState, name: StepName, training: TrainingSteps, report: ProgressReporter
) -> RoundState:
    """Run one step, note it in `state.json` and return the state with it."""
    folder, review = round_folder(site, state.number), site.config.adapt.review
    if "select" in state.steps:
        site = Site(site.root, load_saved_config(SiteConfig, folder / "config.toml"))
    if name == "publish" and _champion_changed(site, state):
        report.say("the champion has changed since the judgement; judging again")
        state = state.before_step("gate")
        save_round(site, state)
        return state
    logs = tuple(find_stored_path(site.root, log) for log in state.logs)
    began = time.monotonic()
    try:
        result = STEP_FUNCTIONS[name](RoundContext(site, state, logs, training, report, review))
    except OSError as error:
        if not is_disk_fault(error):
            raise
        raise AdaptError(
            f"round {state.number:04d} cannot go on with {name}: "
            f"{describe_disk_fault(error, folder)}, then run `edgeseg adapt --resume`"
        ) from None
    finally:
        report.stop()
    seconds = round(time.monotonic() - began, 1)
    finished = FinishedStep(
        output=result.output,
        files={file: file_digest(folder / file) for file in result.files},
        seconds=seconds,
    )
    state = state.model_copy(
        update={
            "steps": {**state.steps, name: finished},
            "verdict": result.verdict,
            "reason": result.reason,
        }
    )
    save_round(site, state)
    return state


def _champion_changed(site: Site, state: RoundState) -> bool:
    """Return whether another bundle became current since the gate."""
    return open_champion(site).path.name != str(state.steps["gate"].output["champion"])


def _result_of(site: Site, state: RoundState) -> RoundResult:
    folder = round_folder(site, state.number)
    if state.verdict == "stopped":
        raise AdaptError(
            f"round {state.number:04d} was stopped: {state.reason}; label some of the frames "
            "behind it, which `edgeseg label --queue flagged` shows, before the next round"
        )
    published = state.steps.get("publish")
    return RoundResult(
        number=state.number,
        folder=folder,
        verdict=str(state.verdict),
        reason=state.reason,
        bundle=site.root / "bundles" / published.output["bundle"] if published else None,
        figures=state.steps["gate"].output,
    )
