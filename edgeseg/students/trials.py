"""Trials: every candidate is distilled from the same site model with equal steps, exported with
INT8, and all files are timed in one race.

    runs/students/expN/plan.json                    what is tried, written down once
    runs/students/expN/<candidate>-<seed>/          a distil run, its bundle and trial.json
    runs/students/expN/results.json, report.html    what came out
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.atomic_files import write_json
from edgeseg.bundle import FLAVOURS, Bundle
from edgeseg.bundle.flavours import FP32, INT8_CPU
from edgeseg.config import DistillConfig, ExportConfig
from edgeseg.data.frame_reader import read_site_frame
from edgeseg.disk.stored_paths import find_stored_path, store_path
from edgeseg.errors import BundleError, ConfigError, EdgesegError
from edgeseg.export.evaluation.latency import Latency, compare_latency
from edgeseg.export.exporter import export
from edgeseg.imaging.resize import resize_image
from edgeseg.models.student_networks import Student
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site
from edgeseg.students.candidates import Candidate, distill_settings
from edgeseg.students.frontier import CandidateResult, mean
from edgeseg.training.distill import distill

VERB = "students"  # runs/students
PLAN_FILE, TRIAL_FILE, RESULTS_FILE = "plan.json", "trial.json", "results.json"
# Every candidate at its own size; the gate looks at accuracy alone, since the race has the times.
TRIAL_EXPORT = {"int8": True, "min_speedup": 0.0, "ask_tensorrt": False, "imgsz": None}
Json = dict[str, Any]  # Any: what JSON holds


@dataclass(frozen=True)
class TrialPlan:
    """What is tried.

    Attributes:
        teacher: The site model's run.
        candidates: What is weighed.
        seeds: Trials of each, with the seeds 0, 1, ...
        steps: Of every distillation.
        distill: The settings of all distillations, but for what a candidate and a seed are.
        export: The settings of all exports.
        weights: Where encoders start, by name; see `distill_settings`.
    """

    teacher: Path
    candidates: tuple[Candidate, ...]
    seeds: int
    steps: int
    distill: DistillConfig
    export: ExportConfig
    weights: Mapping[str, str] = field(default_factory=dict)

    def trials(self) -> list[tuple[Candidate, int]]:
        """Return all trials: every candidate once before any a second time."""
        return [(each, seed) for seed in range(self.seeds) for each in self.candidates]


def save_plan(site: Site, plan: TrialPlan, out: Path) -> None:
    """Write the plan into the folder of the trials."""
    stored = {
        "teacher": store_path(site.root, plan.teacher.resolve()),
        "candidates": plan.candidates,
        "seeds": plan.seeds,
        "steps": plan.steps,
        "distill": plan.distill.model_dump(mode="json"),
        "export": plan.export.model_dump(mode="json"),
        "weights": plan.weights,
    }
    write_json(out / PLAN_FILE, stored)


def load_plan(site: Site, out: Path) -> TrialPlan:
    """Return the plan that the folder was begun with.

    Raises:
        ConfigError: It holds none, or one of another version.
    """
    try:
        stored = json.loads((out / PLAN_FILE).read_bytes())
        return TrialPlan(
            teacher=find_stored_path(site.root, stored["teacher"]),
            candidates=tuple(
                Candidate(Student(*student), (int(size[0]), int(size[1])))
                for student, size in stored["candidates"]
            ),
            seeds=int(stored["seeds"]),
            steps=int(stored["steps"]),
            distill=DistillConfig.model_validate(stored["distill"]),
            export=ExportConfig.model_validate(stored["export"]),
            weights=dict(stored["weights"]),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        raise ConfigError(
            f"{out} holds no plan of trials that this version knows; start anew without --resume"
        ) from None


def run_trials(
    site: Site, plan: TrialPlan, out: Path, *, threads: int, report: ProgressReporter | None = None
) -> list[CandidateResult]:
    """Run what is left of the plan, race all files, and write the results.

    A trial that cannot be run, for want of weights say, costs that candidate only.

    Args:
        threads: CPU threads of the race.

    Raises:
        DataError: Frames of the site are missing or damaged.
    """
    report = report or NullReporter()
    trials = plan.trials()
    for number, (candidate, seed) in enumerate(trials, 1):
        report.say(f"{number} of {len(trials)}: {candidate.name}, seed {seed}")
        run_trial(site, plan, candidate, seed, out, report)
    report.start("timing, all in one race", None)
    times = race(site, plan, out, threads, report)
    results = summarize(plan, out, times)
    facts = {
        "threads": threads,
        "steps": plan.steps,
        "seeds": plan.seeds,
        "teacher": str(plan.teacher),
        "students": [as_json(result) for result in results],
    }
    write_json(out / RESULTS_FILE, facts)
    report.stop()
    return results


def trial_folder(out: Path, candidate: Candidate, seed: int) -> Path:
    """Return the run folder of a trial."""
    return out / f"{candidate.folder_name}-{seed}"


def read_trial(out: Path, candidate: Candidate, seed: int) -> Json:
    """Return what a trial found; empty before it ended."""
    try:
        found: Json = json.loads((trial_folder(out, candidate, seed) / TRIAL_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def run_trial(
    site: Site,
    plan: TrialPlan,
    candidate: Candidate,
    seed: int,
    out: Path,
    report: ProgressReporter,
) -> None:
    """Distil, export and note down one trial, or go on with it; one that ended stays as it is."""
    if "figures" in read_trial(out, candidate, seed):
        return
    folder = trial_folder(out, candidate, seed)
    begun = (folder / "model.json").exists()
    if not begun:
        shutil.rmtree(folder, ignore_errors=True)  # of a start that was refused
    folder.mkdir(parents=True, exist_ok=True)
    try:
        settings = distill_settings(
            plan.distill, candidate, steps=plan.steps, seed=seed, weights=plan.weights
        )
        teacher = None if begun else plan.teacher
        run = distill(site, settings, teacher, folder, resume=begun, report=report)
        gates = plan.export.model_copy(update=TRIAL_EXPORT)
        exported = export(site, gates, run.path, folder / "bundle", report=report)
    except EdgesegError as error:
        report.say(f"{candidate.name} with seed {seed} failed: {error}")
        write_json(folder / TRIAL_FILE, {"failed": str(error)})
        return
    found = {"miou": run.miou, "figures": exported.figures, "refused": exported.refused}
    write_json(folder / TRIAL_FILE, found)


def race(
    site: Site, plan: TrialPlan, out: Path, threads: int, report: ProgressReporter
) -> dict[str, Latency]:
    """Time the first bundle of each candidate, FP32 and INT8, in turns.

    Returns:
        By the candidate's name and the flavour, with a space between.
    """
    picture = read_site_frame(site, site.require("val")[0])[0]
    graphs, images = {}, {}
    for candidate in plan.candidates:
        bundle = _first_bundle(plan, out, candidate)
        if bundle is None:
            continue
        for flavour in (FP32, INT8_CPU):
            if bundle.holds(flavour):
                name = f"{candidate.name} {flavour}"
                graphs[name] = bundle.read(FLAVOURS[flavour].file)
                images[name] = resize_image(picture, candidate.size)
    return compare_latency(graphs, images, threads, 0, report) if graphs else {}


def _first_bundle(plan: TrialPlan, out: Path, candidate: Candidate) -> Bundle | None:
    """Return a bundle of the candidate, one with an INT8 file if any has it."""
    found = []
    for seed in range(plan.seeds):
        try:
            found.append(Bundle.open(trial_folder(out, candidate, seed) / "bundle"))
        except BundleError:
            continue
    with_int8 = [bundle for bundle in found if bundle.holds(INT8_CPU)]
    return next(iter(with_int8 or found), None)


def summarize(plan: TrialPlan, out: Path, times: Mapping[str, Latency]) -> list[CandidateResult]:
    """Return what the trials of each candidate found, and its times."""
    return [_summarize(candidate, plan, out, times) for candidate in plan.candidates]


def _summarize(
    candidate: Candidate, plan: TrialPlan, out: Path, times: Mapping[str, Latency]
) -> CandidateResult:
    trials = [read_trial(out, candidate, seed) for seed in range(plan.seeds)]
    ended = [trial["figures"] for trial in trials if "figures" in trial]
    floats = [figures[FP32]["miou"] for figures in ended]
    int8 = [figures[INT8_CPU] for figures in ended if INT8_CPU in figures]
    drops = [(each["worst_class"]["name"], each["worst_class"]["drop"]) for each in int8]
    fp32_time = times.get(f"{candidate.name} {FP32}")
    int8_time = times.get(f"{candidate.name} {INT8_CPU}")
    return CandidateResult(
        candidate=candidate,
        seeds=len(ended),
        miou=mean(floats),
        int8_miou=mean([each["miou"] for each in int8]),
        spread=max(floats) - min(floats) if floats else 0.0,
        worst_drop=max(drops, key=lambda drop: drop[1], default=("", 0.0)),
        fp32_ms=fp32_time.minimum if fp32_time else None,
        int8_ms=int8_time.minimum if int8_time else None,
        refused=_first_cpu_refusal(ended),
        failed=next((trial["failed"] for trial in trials if "failed" in trial), ""),
    )


def _first_cpu_refusal(ended: Sequence[Json]) -> str:
    """Return why the INT8 file for CPUs of a trial would not ship; empty if all would."""
    reasons = (figures.get(INT8_CPU, {}).get("refused", "") for figures in ended)
    return next((reason for reason in reasons if reason), "")


def as_json(result: CandidateResult) -> Json:
    """Return a result as JSON holds it."""
    facts = asdict(result)
    arch, encoder = result.candidate.student
    height, width = result.candidate.size
    del facts["candidate"]
    name, drop = result.worst_drop
    facts["worst_drop"] = {"class": name, "drop": drop}
    return {"arch": arch, "encoder": encoder, "height": height, "width": width} | facts
