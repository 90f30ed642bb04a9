"""The nine steps of a round, each a function of what lies on the disk; a step that is run again
gives the same result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from edgeseg.adapt import publish
from edgeseg.adapt.champion import (
    FP16_FILE,
    StartingPoint,
    find_starting_point,
    frames_digest,
    lost_selections,
    published_name,
    round_fingerprint,
)
from edgeseg.adapt.gate import GateDecision, judge_challenger
from edgeseg.adapt.records.record_import import pull_records
from edgeseg.adapt.records.record_selection import RecordSelection, find_candidates, select_records
from edgeseg.adapt.round_context import RoundContext, RoundStepResult
from edgeseg.adapt.round_review import review
from edgeseg.adapt.round_state import StepName, load_rounds
from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.bundle import MANIFEST, Bundle
from edgeseg.config import LoopConfig, to_toml
from edgeseg.digests import file_digest
from edgeseg.errors import AdaptError
from edgeseg.labelling.worth import QueuedFrame, round_lists
from edgeseg.progress import ProgressReporter
from edgeseg.site import FrameNames, Site

LoopT = TypeVar("LoopT", bound=LoopConfig)
RUN_FILES = ("model.json", "metrics.json", "weights/best.safetensors")
FLAGGED_TOLD = 3  # frames behind an alarm that are named
MAX_DAMAGED_TOLD = 100  # sentences on damaged records that the state keeps
# How a round that must not be repeated ended, by verdict.
ENDINGS: dict[str | None, str] = {
    "published": "published and rolled back",
    "rejected": "rejected",
    "stopped": "stopped",
}


def _pull(round: RoundContext) -> RoundStepResult:
    find_starting_point(round.site)  # what is missing is told before anything is copied
    output = dataclasses.asdict(pull_records(round.site, round.logs, round.report))
    output["damaged"] = list(output["damaged"][:MAX_DAMAGED_TOLD])
    return RoundStepResult(output)


def _select(round: RoundContext) -> RoundStepResult:
    site, adapt = round.site, round.site.config.adapt
    start = find_starting_point(site)
    for path in lost_selections(site):
        round.report.say(
            f"{path} is gone or damaged, so the frames that its round learned from count as new; "
            "put it back from a copy if there is one"
        )
    selection = select_records(
        find_candidates(site), adapt.max_records, site.config.data.near_duplicate
    )
    _require_enough(selection, adapt.min_records)
    fingerprint = round_fingerprint(site, start, selection.chosen)
    _refuse_repetition(site, fingerprint)
    write_json(round.folder / "selected.json", {"frames": list(selection.chosen)})
    write_atomic(round.folder / "config.toml", to_toml(site.config).encode())
    counts = {key: value for key, value in dataclasses.asdict(selection).items() if key != "chosen"}
    output = {
        "records": len(selection.chosen),
        **counts,
        "fingerprint": fingerprint,
        "base": _describe_start(start),
    }
    return RoundStepResult(output, ("selected.json", "config.toml"))


def _require_enough(selection: RecordSelection, min_records: int) -> None:
    number = len(selection.chosen)
    if number < min_records:
        copies = f" (and {selection.duplicates} near-copies)" if selection.duplicates else ""
        raise AdaptError(
            f"there are {number} new records{copies} but a round needs {min_records}; run "
            "`edgeseg adapt LOGDIR` when the device has logged more, or lower it with "
            "--set adapt.min_records=N"
        )


def _refuse_repetition(site: Site, fingerprint: str) -> None:
    """Refuse a round that would end as an earlier one did.

    Raises:
        AdaptError: The same was tried and did not last.
    """
    for earlier in load_rounds(site):
        if (
            earlier.verdict in ENDINGS
            and earlier.steps["select"].output["fingerprint"] == fingerprint
        ):
            raise AdaptError(
                f"nothing has changed since round {earlier.number:04d}, which was "
                f"{ENDINGS[earlier.verdict]}; add records or labels, or change [adapt], [train] or "
                "[distill], before the next round"
            )


def _describe_start(start: StartingPoint) -> dict[str, Any]:  # Any: JSON values
    """Return what later steps need of champion and runs, under the keys of `state.json`."""
    manifest = start.bundle.manifest
    return {
        "bundle": start.bundle.path.name,
        "seq": manifest.seq,
        "site_run": start.site_run,
        "edge_run": start.edge_run,
        "int8": start.int8,
        "half": FP16_FILE in manifest.files,
        "imgsz": [manifest.height, manifest.width],
    }


def _check_drift(round: RoundContext) -> RoundStepResult:
    """Run the step "pseudo-label": a collapse ends the round before anything is trained."""
    site = round.site
    selected = set(round.selected)
    frames = [frame for frame in site.frames() if frame.id in selected]
    statistics = round.training.check_drift(
        site,
        site.root / round.starting_point["site_run"],
        frames,
        round.folder / "pseudo",
        alpha=site.config.train.u2pl.alpha,
        device=site.config.train.device,
        report=round.report,
    )
    for alarm in statistics.alarms:
        round.report.say(f"alarm: {alarm}")
    if statistics.flagged:
        why = " ".join([*statistics.alarms, statistics.collapse]).strip()
        reason = f"alarm of round {round.state.number:04d}: {why}"
        flagged = [QueuedFrame(frame_id, 1.0, (reason,)) for frame_id in statistics.flagged]
        round_lists.write_round_list(round.folder, round_lists.FLAGGED, flagged)
        names, found = FrameNames(site), {frame.id: frame for frame in frames}
        told = [names.of(found[each]) for each in statistics.flagged[:FLAGGED_TOLD]]
        shown = "; ".join(told)
        round.report.say(
            f"the frames behind it are {shown} and others; see them with "
            "`edgeseg label --queue flagged`"
        )
    output = {
        "kl": statistics.kl,
        "kept": statistics.kept,
        "effective": statistics.effective,
        "alarms": list(statistics.alarms),
    }
    if not statistics.collapse:
        return RoundStepResult(output, ("pseudo/statistics.json",))
    reason = f"the pseudo-labels have collapsed: {statistics.collapse}"
    write_json(
        round.folder / "decision.json",
        {"round": round.state.number, "verdict": "stopped", "reason": reason},
    )
    return RoundStepResult(output, ("pseudo/statistics.json", "decision.json"), "stopped", reason)


def _train(round: RoundContext) -> RoundStepResult:
    config = round.site.config
    result = round.training.train(
        round.site,
        _training_config(config.train, config.adapt.train_steps, round.report),
        round.folder / "train",
        resume=True,
        init=round.site.root / round.starting_point["site_run"],
        focus=frozenset(round.selected),
        report=round.report,
    )
    return RoundStepResult({"miou": result.miou}, tuple(f"train/{name}" for name in RUN_FILES))


def _distill(round: RoundContext) -> RoundStepResult:
    config = round.site.config
    result = round.training.distill(
        round.site,
        _training_config(config.distill, config.adapt.distill_steps, round.report),
        round.folder / "train",
        round.folder / "distill",
        resume=True,
        init=round.site.root / round.starting_point["edge_run"],
        focus=frozenset(round.selected),
        report=round.report,
    )
    files = tuple(f"distill/{name}" for name in (*RUN_FILES, "origin.json"))
    return RoundStepResult({"miou": result.miou}, files)


def _training_config(config: LoopT, steps: int, report: ProgressReporter) -> LoopT:
    """Return the configuration of a training in a round: fewer steps, and one device, since several
    would start the command anew.
    """
    if config.devices > 1:
        report.say(
            f"a round trains on one device; devices = {config.devices} holds for train and distill "
            "only"
        )
    return config.model_copy(update={"steps": steps, "devices": 1})


def _export(round: RoundContext) -> RoundStepResult:
    """Export with the files and the input size of the champion, unless the configuration asks for
    others.
    """
    config, start = round.site.config.export, round.starting_point
    like_champion = {
        "int8": config.int8 or start["int8"],
        "half": config.half or start["half"],
        "imgsz": config.imgsz or tuple(start["imgsz"]),
    }
    seq = publish.next_seq(round.site)
    out = round.folder / "bundle"
    result = round.training.export(
        round.site,
        config.model_copy(update=like_champion),
        round.folder / "distill",
        out,
        seq=seq,
        report=round.report,
    )
    files = (MANIFEST, *Bundle.open(out).manifest.files)
    return RoundStepResult(
        {"seq": seq, "refused": list(result.refused)}, tuple(f"bundle/{name}" for name in files)
    )


def _gate(round: RoundContext) -> RoundStepResult:
    site = round.site
    champion, challenger = publish.open_champion(site), Bundle.open(round.folder / "bundle")
    if champion.manifest.classes != challenger.manifest.classes:
        raise AdaptError(
            f"{champion.path.name}, champion since this round began, knows other classes; end the "
            "round with `edgeseg adapt --abandon` and start a new one"
        )
    new, old = round.training.measure(site, challenger.path, champion.path, round.report)
    new = dataclasses.replace(new, name=published_name(site, round.state))
    decision = judge_challenger(new, old, site.config.class_names, site.config.adapt)
    # A file that the export refused explains a rejection; it is none by itself.
    refused = [] if decision.promoted else round.state.steps["export"].output["refused"]
    reason = "; ".join([decision.reason, *refused])
    figures = decision.as_json()
    _write_decision(round, decision, reason, figures, champion, challenger)
    output = {
        "champion": champion.path.name,
        "before": figures["champion"],
        "after": figures["challenger"],
        "difference": figures["difference"],
        "classes": figures["classes"],
        "reason": reason,
    }
    if decision.promoted:
        return RoundStepResult(output, ("decision.json",))
    return RoundStepResult(output, ("decision.json",), "rejected", reason)


def _write_decision(
    round: RoundContext,
    decision: GateDecision,
    reason: str,
    figures: dict[str, Any],  # Any: JSON values
    champion: Bundle,
    challenger: Bundle,
) -> None:
    """Write `decision.json`: the decision with digests of everything it rests on."""
    site = round.site
    table = {
        "round": round.state.number,
        "verdict": "promoted" if decision.promoted else "rejected",
        "reason": reason,
        "inputs": {
            "champion": champion.digest,
            "challenger": challenger.digest,
            "selected": file_digest(round.folder / "selected.json"),
            "gate": frames_digest(site, site.frames("gate")),
        },
        "thresholds": site.config.adapt.model_dump(
            include={"max_drop", "max_class_drop", "draws", "block", "min_fps"}
        ),
        "figures": figures,
        "pseudo_labels": round.state.steps["pseudo-label"].output,
    }
    write_json(round.folder / "decision.json", table)


def _publish(round: RoundContext) -> RoundStepResult:
    gate = round.state.steps["gate"].output
    parent = Bundle.open(round.site.root / "bundles" / gate["champion"])
    notes = {"round": round.state.number, "difference": gate["difference"]}
    bundle = publish.publish_bundle(
        round.site, round.folder / "bundle", published_name(round.site, round.state), parent, notes
    )
    return RoundStepResult({"bundle": bundle.path.name}, (), "published", gate["reason"])


STEP_FUNCTIONS: dict[StepName, Callable[[RoundContext], RoundStepResult]] = {
    "pull": _pull,
    "select": _select,
    "review": review,
    "pseudo-label": _check_drift,
    "train": _train,
    "distill": _distill,
    "export": _export,
    "gate": _gate,
    "publish": _publish,
}
