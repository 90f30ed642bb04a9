"""The eight steps of a round, each a function of what lies on the disk; a step that is run again
gives the same result.

The heavy work is handed in (`Steps`), so that the order, the files and every place a kill can
strike are tested in seconds. `edgeseg.adapt.training_steps` holds the real thing.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgeseg.adapt import publish
from edgeseg.adapt.champion import (
    FP16_FILE,
    find_starting_point,
    frames_digest,
    learned_frames,
    published_name,
    round_fingerprint,
)
from edgeseg.adapt.gate import GateMeasurement, judge_challenger
from edgeseg.adapt.record_import import load_origins, pull_records
from edgeseg.adapt.record_selection import RecordCandidate, select_records
from edgeseg.adapt.round_state import (
    RoundState,
    StepName,
    Verdict,
    file_digest,
    load_rounds,
    round_folder,
)
from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.bundle import MANIFEST, Bundle
from edgeseg.config import LoopConfig, to_toml
from edgeseg.errors import AdaptError
from edgeseg.progress import ProgressReporter
from edgeseg.site import Site

LoopT = TypeVar("LoopT", bound=LoopConfig)
ENDED: dict[str | None, str] = {
    "published": "published and rolled back",
    "rejected": "rejected",
    "stopped": "stopped",
}
RUN_FILES = ("model.json", "metrics.json", "weights/best.safetensors")


# `edgeseg.adapt.drift_check.pseudo_label`; `collapse` of its result stops the round, its `alarms`
# are told
Labeller = Callable[..., Any]  # Any: see `pseudo.Statistics`
Trainer = Callable[
    ..., Any
]  # `edgeseg.training.train.train` and `edgeseg.training.distill.distill`; the result has `miou`
Exporter = Callable[..., Any]  # `edgeseg.export.exporter.export`; the result has `refused`
Comparer = Callable[
    [Site, Path, Path, ProgressReporter], tuple[GateMeasurement, GateMeasurement]
]  # `edgeseg.adapt.gate_measurement.compare`


@dataclass(frozen=True)
class TrainingSteps:
    """The heavy work of a round."""

    check_drift: Labeller
    train: Trainer
    distill: Trainer
    export: Exporter
    measure: Comparer


@dataclass(frozen=True)
class RoundContext:
    """A round at work.

    Attributes:
        site: with the configuration of the round.
        logs: folders to pull from.
    """

    site: Site
    state: RoundState
    logs: tuple[Path, ...]
    steps: TrainingSteps
    report: ProgressReporter

    @property
    def folder(self) -> Path:
        """`rounds/NNNN`."""
        return round_folder(self.site, self.state.number)

    @property
    def starting_point(self) -> dict[str, Any]:  # Any: JSON values
        """The champion and its runs as they were when the records were selected."""
        return dict(self.state.steps["select"].output["base"])

    @property
    def selected(self) -> list[str]:
        """Ids of the selected frames."""
        return [
            str(name) for name in json.loads((self.folder / "selected.json").read_bytes())["frames"]
        ]


@dataclass(frozen=True)
class RoundStepResult:
    """What a step leaves behind.

    Attributes:
        output: figures and names for later steps and reports.
        files: what the step vouches for, relative to the round's folder.
        verdict, reason: set when the round ends with this step.
    """

    output: dict[str, Any]  # Any: JSON values
    files: tuple[str, ...] = ()
    verdict: Verdict | None = None
    reason: str = ""


def _pull(round: RoundContext) -> RoundStepResult:
    find_starting_point(round.site)
    result = dataclasses.asdict(pull_records(round.site, round.logs, round.report))
    result["damaged"] = list(result["damaged"][:100])
    return RoundStepResult(result)


def _select(round: RoundContext) -> RoundStepResult:
    site, adapt = round.site, round.site.config.adapt
    base = find_starting_point(site)
    selection = select_records(
        _candidates(site), adapt.max_records, site.config.data.near_duplicate
    )
    if len(selection.chosen) < adapt.min_records:
        copies = f" (and {selection.duplicates} near-copies)" if selection.duplicates else ""
        raise AdaptError(
            f"there are {len(selection.chosen)} new records{copies} but a round needs {adapt.min_records}; run "
            "`edgeseg adapt LOGDIR` when the device has logged more, or lower it with --set adapt.min_records=N"
        )
    mark = round_fingerprint(site, base, selection.chosen)
    for other in load_rounds(site):
        if other.verdict in ENDED and other.steps["select"].output["fingerprint"] == mark:
            raise AdaptError(
                f"nothing has changed since round {other.number:04d}, which was {ENDED[other.verdict]}; add records or "
                "labels, or change [adapt], [train] or [distill], before the next round"
            )
    write_json(round.folder / "selected.json", {"frames": list(selection.chosen)})
    write_atomic(round.folder / "config.toml", to_toml(site.config).encode())
    manifest = base.bundle.manifest
    started = {
        "bundle": base.bundle.path.name,
        "seq": manifest.seq,
        "site_run": base.site_run,
        "edge_run": base.edge_run,
        "int8": base.int8,
        "half": FP16_FILE in manifest.files,
        "imgsz": [manifest.height, manifest.width],
    }
    counts = {key: value for key, value in dataclasses.asdict(selection).items() if key != "chosen"}
    output = {"records": len(selection.chosen), **counts, "fingerprint": mark, "base": started}
    return RoundStepResult(output, ("selected.json", "config.toml"))


def _candidates(site: Site) -> list[RecordCandidate]:
    """Frames from devices that the champion has not learned from."""
    spent, origins = learned_frames(site), load_origins(site)
    found = []
    for frame in site.frames("unlabelled"):
        if frame.origin == "log" and frame.id not in spent:
            origin = origins.get(frame.id)
            control = origin is not None and origin.reason == "random"
            found.append(RecordCandidate(frame, origin.score if origin else 0.0, control))
    return found


def _check_drift(round: RoundContext) -> RoundStepResult:
    site = round.site
    chosen = set(round.selected)
    frames = [frame for frame in site.frames() if frame.id in chosen]
    found = round.steps.check_drift(
        site,
        site.root / round.starting_point["site_run"],
        frames,
        round.folder / "pseudo",
        alpha=site.config.train.u2pl.alpha,
        device=site.config.train.device,
        report=round.report,
    )
    for alarm in found.alarms:
        round.report.say(f"alarm: {alarm}")
    output = {
        "kl": found.kl,
        "kept": found.kept,
        "effective": found.effective,
        "alarms": list(found.alarms),
    }
    if not found.collapse:
        return RoundStepResult(output, ("pseudo/statistics.json",))
    reason = f"the pseudo-labels have collapsed: {found.collapse}"
    write_json(
        round.folder / "decision.json",
        {"round": round.state.number, "verdict": "stopped", "reason": reason},
    )
    return RoundStepResult(output, ("pseudo/statistics.json", "decision.json"), "stopped", reason)


def _one_training(config: LoopT, steps: int, report: ProgressReporter) -> LoopT:
    """The configuration of one training in a round: fewer steps, one device (several would start
    the command anew).
    """
    if config.devices > 1:
        report.say(
            f"a round trains on one device; devices = {config.devices} holds for train and distill only"
        )
    return config.model_copy(update={"steps": steps, "devices": 1})


def _train(round: RoundContext) -> RoundStepResult:
    config = round.site.config
    once = _one_training(config.train, config.adapt.train_steps, round.report)
    result = round.steps.train(
        round.site,
        once,
        round.folder / "train",
        resume=True,
        init=round.site.root / round.starting_point["site_run"],
        focus=frozenset(round.selected),
        report=round.report,
    )
    return RoundStepResult({"miou": result.miou}, tuple(f"train/{name}" for name in RUN_FILES))


def _distill(round: RoundContext) -> RoundStepResult:
    config = round.site.config
    once = _one_training(config.distill, config.adapt.distill_steps, round.report)
    result = round.steps.distill(
        round.site,
        once,
        round.folder / "train",
        round.folder / "distill",
        resume=True,
        init=round.site.root / round.starting_point["edge_run"],
        focus=frozenset(round.selected),
        report=round.report,
    )
    return RoundStepResult(
        {"miou": result.miou}, tuple(f"distill/{name}" for name in (*RUN_FILES, "origin.json"))
    )


def _export(round: RoundContext) -> RoundStepResult:
    config = round.site.config.export
    like = {
        "int8": config.int8 or round.starting_point["int8"],
        "half": config.half or round.starting_point["half"],
    }
    asked = config.model_copy(
        update={**like, "imgsz": config.imgsz or tuple(round.starting_point["imgsz"])}
    )
    seq = publish.next_seq(round.site)
    out = round.folder / "bundle"
    result = round.steps.export(
        round.site, asked, round.folder / "distill", out, seq=seq, report=round.report
    )
    files = (MANIFEST, *Bundle.open(out).manifest.files)
    return RoundStepResult(
        {"seq": seq, "refused": list(result.refused)}, tuple(f"bundle/{name}" for name in files)
    )


def _gate(round: RoundContext) -> RoundStepResult:
    site, limits = round.site, round.site.config.adapt
    champion, challenger = publish.open_champion(site), Bundle.open(round.folder / "bundle")
    if champion.manifest.classes != challenger.manifest.classes:
        raise AdaptError(
            f"{champion.path.name}, champion since this round began, knows other classes; end the round with "
            "`edgeseg adapt --abandon` and start a new one"
        )
    new, old = round.steps.measure(site, challenger.path, champion.path, round.report)
    new = dataclasses.replace(new, name=published_name(site, round.state))
    judgement = judge_challenger(new, old, site.config.class_names, limits)
    refused = [] if judgement.promoted else round.state.steps["export"].output["refused"]
    reason = "; ".join([judgement.reason, *refused])
    figures = judgement.as_json()
    decision = {
        "round": round.state.number,
        "verdict": "promoted" if judgement.promoted else "rejected",
        "reason": reason,
        "inputs": {
            "champion": file_digest(champion.path / MANIFEST),
            "challenger": file_digest(challenger.path / MANIFEST),
            "selected": file_digest(round.folder / "selected.json"),
            "gate": frames_digest(site, site.frames("gate")),
        },
        "thresholds": limits.model_dump(
            include={"max_drop", "max_class_drop", "draws", "block", "min_fps"}
        ),
        "figures": figures,
        "pseudo_labels": round.state.steps["pseudo-label"].output,
    }
    write_json(round.folder / "decision.json", decision)
    output = {
        "champion": champion.path.name,
        "before": figures["champion"],
        "after": figures["challenger"],
    }
    output |= {"difference": figures["difference"], "classes": figures["classes"], "reason": reason}
    if judgement.promoted:
        return RoundStepResult(output, ("decision.json",))
    return RoundStepResult(output, ("decision.json",), "rejected", reason)


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
    "pseudo-label": _check_drift,
    "train": _train,
    "distill": _distill,
    "export": _export,
    "gate": _gate,
    "publish": _publish,
}
STEP_FOLDERS: dict[StepName, str] = {
    "pseudo-label": "pseudo",
    "train": "train",
    "distill": "distill",
    "export": "bundle",
}
