"""A round of adaptation as a durable state machine: pull, select, pseudo-label, train, distill,
export, gate, publish.

`rounds/NNNN/state.json` is replaced after every step. Whatever kills the process, the next start
goes on with the first step that is not done, and a step that was cut off continues (training from
its checkpoint) or is repeated. The champion is touched by one rename, at the very end; until then a
round can be killed, repeated or given up and no device notices.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgeseg.adapt import publish
from edgeseg.adapt.champion import published_name
from edgeseg.adapt.record_import import check_log_folders
from edgeseg.adapt.round_state import (
    FinishedStep,
    RoundState,
    StepName,
    drop_damaged_steps,
    file_digest,
    load_rounds,
    round_folder,
    rounds_folder,
    save_round,
)
from edgeseg.adapt.round_steps import STEP_FOLDERS, STEP_FUNCTIONS, RoundContext, TrainingSteps
from edgeseg.atomic_files import lock_folder, remove_leftovers
from edgeseg.bundle import Bundle
from edgeseg.config import load_config
from edgeseg.errors import AdaptError
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True)
class RoundResult:
    """A round that came to its end.

    Attributes:
        verdict: "published" or "rejected"; the other ends are errors.
        reason: one sentence with the figures.
        bundle: the new champion, if there is one.
        figures: output of the gate, by name.
    """

    number: int
    folder: Path
    verdict: str
    reason: str
    bundle: Path | None
    figures: dict[str, Any]  # Any: numbers and tables of them


def run_round(
    site: Site,
    logs: Sequence[Path] = (),
    *,
    resume: bool = False,
    steps: TrainingSteps | None = None,
    report: ProgressReporter | None = None,
) -> RoundResult:
    """Run one round, or continue the one that was cut off.

    Args:
        logs: frame logs of devices, or copies of them.
        resume: continue only; without it a new round begins when none is open.
        steps: the heavy work; the real one if left out.

    Raises:
        AdaptError: the round cannot start or go on, or an alarm stopped it.
        EdgesegError: of other kinds, from the steps; mended, the round goes on where it was.
    """
    report = report or NullReporter()
    check_log_folders(logs)
    with lock_folder(rounds_folder(site), AdaptError):
        state = _open(site, [path.resolve() for path in logs], resume, report)
        while (name := state.next_step) is not None:
            state = _run_step(site, state, name, steps or _real(), report)
    return _result(site, state)


def abandon(site: Site) -> RoundState:
    """End the open round; its records are free for the next one.

    Raises:
        AdaptError: none is open, or it is running.
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
        AdaptError: there is nothing to go back to.
        BundleError: the parent is damaged.
    """
    try:
        with lock_folder(rounds_folder(site), AdaptError):
            settle_newest_round(
                site
            )  # a round that was killed right after it published must not publish again
    except AdaptError:
        pass  # a round is at work: it notes its own end
    return publish.restore_parent(site)


def _real() -> TrainingSteps:
    from edgeseg.adapt.training_steps import REAL  # noqa: PLC0415  # needs torch; status and rollback do not

    return REAL


def _open(site: Site, logs: list[Path], resume: bool, report: ProgressReporter) -> RoundState:
    """The state to go on from: that of the open round, or of a new one."""
    remove_half_written_files(site)
    opened = any(state.next_step is not None for state in load_rounds(site)[-1:])
    state = settle_newest_round(site)
    if state is not None and opened and state.next_step is None:
        return state  # all that was missing was to say that it had published
    if state is None or state.next_step is None:
        if resume:
            raise AdaptError(
                "no round is open, so there is nothing to resume; start one with `edgeseg adapt LOGDIR`"
            )
        number = 1 if state is None else state.number + 1
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        state = RoundState(number=number, started=now, logs=tuple(map(str, logs)))
    elif "select" not in state.steps:  # it waits for records: what has come since counts too
        state = state.before_step("pull").model_copy(
            update={"logs": tuple(map(str, logs)) or state.logs}
        )
    else:
        refuse_changed_configuration(site, state)
        report.say(f"round {state.number:04d} goes on with {state.next_step}")
        if extra := sorted(set(map(str, logs)) - set(state.logs)):
            report.say(f"{', '.join(extra)} will be pulled by the next round")
    save_round(site, state)
    return state


def refuse_changed_configuration(site: Site, state: RoundState) -> None:
    """Refuse changes that the open round could not honor any more.

    Raises:
        AdaptError: naming the keys.
    """
    begun = load_config(round_folder(site, state.number) / "config.toml")
    changed = ["classes"] if begun.classes != site.config.classes else []
    for section in ("train", "distill", "export", "adapt"):
        one, other = dict(getattr(begun, section)), dict(getattr(site.config, section))
        changed += [f"{section}.{key}" for key, value in one.items() if other[key] != value]
    if changed:
        raise AdaptError(
            f"round {state.number:04d} began with other values of {', '.join(changed)}; take the change back to go on, "
            "or end the round with `edgeseg adapt --abandon` and start a new one"
        )


def settle_newest_round(site: Site) -> RoundState | None:
    """The newest round, its steps checked; one that was killed between publishing and saying so is
    ended here.
    """
    states = load_rounds(site)
    if not states:
        return None
    state = states[-1]
    folder = round_folder(site, state.number)
    if state.next_step is None:
        return state
    sound = drop_damaged_steps(site, state)
    if len(sound.steps) < len(state.steps):
        remove_step_folders(folder, sound)
        save_round(site, sound)
    if sound.next_step == "publish" and site.current_bundle.is_symlink():
        name = published_name(site, sound)
        if site.current_bundle.resolve().name == name:
            done = {**sound.steps, "publish": FinishedStep(output={"bundle": name})}
            reason = str(sound.steps["gate"].output["reason"])
            sound = sound.model_copy(
                update={"steps": done, "verdict": "published", "reason": reason}
            )
            save_round(site, sound)
    return sound


def remove_half_written_files(site: Site) -> None:
    """Remove what killed writers left half-written, in the newest round and beside the rounds."""
    remove_leftovers(rounds_folder(site))
    for folder in sorted(rounds_folder(site).glob("[0-9]*"), key=lambda path: path.name)[-1:]:
        for leftover in list(folder.rglob(".*.tmp")):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def remove_step_folders(folder: Path, state: RoundState) -> None:
    """Remove what steps that must be repeated have left, so that damaged results are not taken for
    finished ones.
    """
    for name, child in STEP_FOLDERS.items():
        if name not in state.steps:
            shutil.rmtree(folder / child, ignore_errors=True)


def _run_step(
    site: Site, state: RoundState, name: StepName, steps: TrainingSteps, report: ProgressReporter
) -> RoundState:
    """Run one step and note it."""
    folder = round_folder(site, state.number)
    if "select" in state.steps:
        site = Site(site.root, load_config(folder / "config.toml"))
    if (
        name == "publish"
        and publish.open_champion(site).path.name != state.steps["gate"].output["champion"]
    ):
        report.say("the champion has changed since the judgement; judging again")
        state = state.before_step("gate")
        save_round(site, state)
        return state
    began = time.monotonic()
    try:
        outcome = STEP_FUNCTIONS[name](
            RoundContext(site, state, tuple(map(Path, state.logs)), steps, report)
        )
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        what = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
        raise AdaptError(
            f"round {state.number:04d} cannot go on with {name} ({what}); mend that, then run `edgeseg adapt --resume`"
        ) from None
    finally:
        report.stop()
    seconds = round(time.monotonic() - began, 1)
    done = FinishedStep(
        output=outcome.output,
        files={file: file_digest(folder / file) for file in outcome.files},
        seconds=seconds,
    )
    changes = {
        "steps": {**state.steps, name: done},
        "verdict": outcome.verdict,
        "reason": outcome.reason,
    }
    state = state.model_copy(update=changes)
    save_round(site, state)
    return state


def _result(site: Site, state: RoundState) -> RoundResult:
    if state.verdict == "stopped":
        raise AdaptError(
            f"round {state.number:04d} was stopped: {state.reason}; label some of the frames in "
            f"{round_folder(site, state.number) / 'pseudo'} with `edgeseg add labels` before the next round"
        )
    published = state.steps.get("publish")
    bundle = site.root / "bundles" / published.output["bundle"] if published else None
    gate = state.steps["gate"].output
    return RoundResult(
        state.number,
        round_folder(site, state.number),
        str(state.verdict),
        state.reason,
        bundle,
        gate,
    )
