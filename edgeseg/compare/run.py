"""A comparison from start to end: what it may not begin with, its runs one after another, its table and its page."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.compare.figures import FLOOR, Run, Standing, rare_classes, read_run, row, standings, write_table
from edgeseg.compare.page import Facts, write_page
from edgeseg.compare.pool import run_all
from edgeseg.compare.verdict import Verdict, causes, recommend
from edgeseg.compare.worker import Job
from edgeseg.config import METHOD_NAMES, TrainConfig, dumps, validate
from edgeseg.data.dataset import FrameStore
from edgeseg.doctor import examine
from edgeseg.durable import lock, remove_leftovers, write_atomic, write_json
from edgeseg.errors import ConfigError, TrainError
from edgeseg.models import build
from edgeseg.progress import Report, Silent
from edgeseg.site import Site

PLAN = "comparison.json"


@dataclass(frozen=True)
class Plan:
    """What is compared: every method with the seeds `config.seed`, `config.seed + 1`, ...

    Attributes:
        config: of every run; its method is of no account.
        at_once: runs at a time.
        threads: CPU threads of each run, 0 for torch's own choice.
    """

    config: TrainConfig
    methods: tuple[str, ...]
    seeds: int
    at_once: int = 1
    threads: int = 0

    def jobs(self, root: Path, out: Path) -> list[Job]:
        """Seed by seed, so that every method has a figure early."""
        base = self.config.model_dump(mode="json")
        return [
            Job(root, validate(TrainConfig, base | {"method": method, "seed": seed}, "the comparison"),
                out / f"{method}-{seed}", self.threads)
            for seed in range(self.config.seed, self.config.seed + self.seeds) for method in self.methods
        ]  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """A comparison that is over.

    Attributes:
        metrics: what `metrics.json` holds.
        chosen: the run to go on with; None when none finished.
    """

    path: Path
    found: list[Standing]
    verdict: Verdict
    rare: list[str]
    metrics: dict[str, Any]  # Any: numbers, lists and tables of them
    chosen: Run | None

    @property
    def failed(self) -> dict[str, str]:
        """Run and reason."""
        return {
            f"{each.method}-{seed}": reason for each in self.found for seed, reason in each.failed.items()
        }  # fmt: skip


def plan(
    site: Site, config: TrainConfig, methods: Sequence[str], seeds: int, *, jobs: int = 1, threads: int = 0
) -> Plan:
    """What is to be compared, before anything is written.

    Args:
        jobs: runs at a time.
        threads: CPU threads of each run, 0 to share the cores among `jobs`.

    Raises:
        ConfigError: a method is unknown, a number cannot be, or the configuration is none for a comparison.
        DataError: the site lacks labels or footage.
        TrainError: the network cannot be built.
    """
    chosen = tuple(dict.fromkeys([FLOOR, *methods]))
    unknown = [name for name in chosen if name not in METHOD_NAMES]
    if unknown:
        raise ConfigError(
            f"there is no method {' and no method '.join(unknown)}; choose among {', '.join(METHOD_NAMES)}"
        )
    if seeds < 1:
        raise ConfigError(f"--seeds is {seeds} but every method needs one run at least; give 1 or more, 3 to decide")
    if jobs < 1 or threads < 0:
        raise ConfigError("--jobs must be 1 or more and --threads 0 or more; leave them out for one run at a time")
    if config.devices > 1:
        raise ConfigError(
            f"train.devices is {config.devices} but a comparison trains each run on one; leave it at 1, "
            "and have several runs at a time with --jobs"
        )
    site.require("labelled")
    site.require("val")
    if len(chosen) > 1:
        site.require("unlabelled")
    build(config.arch, config.encoder, len(site.config.classes), config.weights)  # says now what every run would
    share = threads or (max(1, cores() // jobs) if jobs > 1 else 0)
    return Plan(config.model_copy(update={"method": FLOOR}), chosen, seeds, jobs, share)


def compare(site: Site, wanted: Plan, out: Path, *, resume: bool = False, report: Report | None = None) -> Comparison:
    """Train what is planned into `out`; a run that fails is told in the result.

    Args:
        resume: continue the comparison in `out`; finished runs are left alone, methods and seeds may be added.

    Raises:
        TrainError: `out` holds another comparison, or one with other settings.
        DataError: labelled frames are missing or damaged.
    """
    report = report or Silent()
    with lock(out, TrainError):
        facts = _claim(site, wanted, out, resume=resume)
        todo = wanted.jobs(site.root, out)
        results = [run for job in todo if (run := _result(job))]
        open_jobs = [job for job in todo if _result(job) is None]
        failed: dict[tuple[str, int], str] = {}
        report.start(f"compare {out.name}", len(todo) * wanted.config.steps)
        report.advance(len(results) * wanted.config.steps)
        try:
            with closing(run_all(open_jobs, wanted.at_once, report)) as ended:
                for job, reason in ended:
                    run = _result(job)
                    if run is not None:
                        results.append(run)
                        report.say(f"{job.name}: mIoU {run.last:.2f}")
                    else:
                        reason = reason or "it ended without a result"
                        failed[job.config.method, job.config.seed] = reason
                        report.say(f"{job.name} failed: {reason}")
                    _keep(wanted, out, facts, results, failed, over=False)
        except KeyboardInterrupt:
            report.stop()
            report.say(f"stopped after {len(results)} of {len(todo)} runs; go on with `edgeseg compare --resume`")
            raise
        report.stop()
        comparison = _keep(wanted, out, facts, results, failed, over=True)
        write_page(site, comparison.found, comparison.verdict, facts, out / "report.html")
    return comparison


def stored_plan(out: Path) -> tuple[tuple[str, ...], int]:
    """The methods and the number of seeds that the comparison in `out` was begun with; none in an empty folder."""
    try:
        begun = json.loads((out / PLAN).read_bytes())
    except FileNotFoundError:
        return (), 0
    return tuple(begun["methods"]), int(begun["seeds"])


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _claim(site: Site, wanted: Plan, out: Path, *, resume: bool) -> Facts:
    """Refuse a folder that holds something else, write down what is compared, and look at the labels.

    Raises:
        TrainError: it holds another comparison.
        DataError: labelled frames are missing or damaged.
    """
    remove_leftovers(out)
    text, stored = dumps(wanted.config), out / "config.toml"
    data = _digest(site)
    if stored.exists() and not resume:
        raise TrainError(f"{out} already holds a comparison; choose another folder, or continue it with --resume")
    if stored.exists():
        keys = sorted(set(text.splitlines()) ^ set(stored.read_text().splitlines()))
        if keys:
            raise TrainError(
                f"{out} was begun with another configuration ({'; '.join(keys[:4])}); "
                "undo the change or start a new comparison"
            )
        methods, seeds = stored_plan(out)
        if not set(methods) <= set(wanted.methods) or seeds > wanted.seeds:
            raise TrainError(
                f"{out} was begun with {', '.join(methods)} and {seeds} seeds; methods and seeds can be added to it "
                "but not taken away"
            )
        if (out / PLAN).exists() and json.loads((out / PLAN).read_bytes())["data"] != data:
            raise TrainError(
                f"the site's frames have changed since {out} was begun, its runs could not be compared with new ones; "
                "start a new comparison without --resume"
            )
    labelled = site.require("labelled")
    counts = FrameStore(site, labelled, wanted.config.imgsz, memory=0).pixels(len(site.config.classes))
    pixels = {name: int(number) for name, number in zip(site.config.class_names, counts)}
    write_json(out / PLAN, {"methods": wanted.methods, "seeds": wanted.seeds, "data": data})
    write_atomic(stored, text.encode())
    machine = examine(out)
    versions = {package.name: package.version for package in machine.packages}
    return Facts(
        config=wanted.config,
        methods=wanted.methods,
        seeds=wanted.seeds,
        pixels=pixels,
        causes=causes(pixels, len(labelled), [f.camera for f in labelled],
                      [f.camera for f in site.frames("unlabelled")]),
        frames={split: len(site.frames(split)) for split in ("labelled", "unlabelled", "val")},
        machine={
            "processor": f"{machine.processor}, {machine.cores} cores", "GPU": "; ".join(machine.gpus) or "none",
            "system": machine.system, "python": machine.python, "torch": versions.get("torch") or "-",
            "edgeseg": machine.edgeseg,
        },
    )  # fmt: skip


def _keep(
    wanted: Plan, out: Path, facts: Facts, results: Sequence[Run], failed: dict[tuple[str, int], str], *, over: bool
) -> Comparison:
    """Write the table as far as it goes."""
    found = standings(results, failed, wanted.methods)
    floor = next((each for each in found if each.method == FLOOR and each.runs), None)
    rare = rare_classes(facts.pixels)
    verdict = recommend(found, facts.causes)
    rows = [row(each, floor, rare) for each in found]
    chosen = next((each for each in found if each.method == verdict.method and each.runs), None)
    run = max(chosen.runs, key=lambda run: run.best) if chosen else None
    metrics: dict[str, Any] = {"finished": over, "runs": len(results), "planned": wanted.seeds * len(wanted.methods)}
    metrics |= {"rare_classes": rare, "methods": rows}
    if over:
        metrics["recommendation"] = {
            "method": verdict.method, "run": run and str(run.path), "noise": verdict.noise,
            "sentences": verdict.sentences,
        }  # fmt: skip
    metrics |= {"machine": facts.machine, "config": wanted.config.model_dump(mode="json", exclude={"method"})}
    write_table(out / "table.csv", rows)
    write_json(out / "metrics.json", metrics)
    return Comparison(out, found, verdict, rare, metrics, run)


def _result(job: Job) -> Run | None:
    return read_run(job.out, job.config.method, job.config.seed)


def _digest(site: Site) -> str:
    """What the runs learn from and are judged by: the frames of three splits, and the classes."""
    lines = [f"{frame.split} {frame.id}" for frame in site.frames("labelled", "unlabelled", "val")]
    text = "\n".join([*sorted(lines), *site.config.class_names])
    return hashlib.sha256(text.encode()).hexdigest()
