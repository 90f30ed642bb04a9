"""A comparison from start to end: its runs one after another, the table as it grows, the page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.atomic_files import lock_folder, write_json
from edgeseg.compare.html_page import write_page
from edgeseg.compare.plan import Facts, Plan, claim
from edgeseg.compare.process_pool import run_all
from edgeseg.compare.recommendation import Verdict, recommend
from edgeseg.compare.results import (
    FLOOR,
    Run,
    Standing,
    rare_classes,
    read_run,
    row,
    standings,
    write_table,
)
from edgeseg.compare.worker import Job
from edgeseg.errors import TrainError
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site


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
            f"{each.method}-{seed}": reason
            for each in self.found
            for seed, reason in each.failed.items()
        }


def compare(
    site: Site,
    wanted: Plan,
    out: Path,
    *,
    resume: bool = False,
    report: ProgressReporter | None = None,
) -> Comparison:
    """Train what is planned into `out`; a run that fails is told in the result.

    Args:
        resume: continue the comparison in `out`; finished runs are left alone, methods and seeds
            may be added.

    Raises:
        TrainError: `out` holds another comparison, or one with other settings.
        DataError: labelled frames are missing or damaged.
    """
    report = report or NullReporter()
    with lock_folder(out, TrainError):
        facts = claim(site, wanted, out, resume=resume)
        todo = wanted.jobs(site.root, out)
        results = [run for job in todo if (run := _result(job))]
        open_jobs = [job for job in todo if _result(job) is None]
        failed: dict[tuple[str, int], str] = {}
        report.start(f"compare {out.name}", len(todo) * wanted.config.steps)
        report.advance(len(results) * wanted.config.steps)
        try:
            with closing(run_all(open_jobs, wanted.at_once, report, wanted.gpus)) as ended:
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
            report.say(
                f"stopped after {len(results)} of {len(todo)} runs; go on with `edgeseg compare --resume`"
            )
            raise
        report.stop()
        comparison = _keep(wanted, out, facts, results, failed, over=True)
        write_page(site, comparison.found, comparison.verdict, facts, out / "report.html")
    return comparison


def _keep(
    wanted: Plan,
    out: Path,
    facts: Facts,
    results: Sequence[Run],
    failed: dict[tuple[str, int], str],
    *,
    over: bool,
) -> Comparison:
    """Write the table as far as it goes."""
    found = standings(results, failed, wanted.methods)
    floor = next((each for each in found if each.method == FLOOR and each.runs), None)
    rare = rare_classes(facts.pixels)
    verdict = recommend(found, facts.causes)
    rows = [row(each, floor, rare) for each in found]
    chosen = next((each for each in found if each.method == verdict.method and each.runs), None)
    run = max(chosen.runs, key=lambda run: run.best) if chosen else None
    metrics: dict[str, Any] = {
        "finished": over,
        "runs": len(results),
        "planned": wanted.seeds * len(wanted.methods),
    }
    metrics |= {"rare_classes": rare, "methods": rows}
    if over:
        metrics["recommendation"] = {
            "method": verdict.method,
            "run": run and str(run.path),
            "noise": verdict.noise,
            "sentences": verdict.sentences,
        }
    metrics |= {
        "machine": facts.machine,
        "config": wanted.config.model_dump(mode="json", exclude={"method"}),
    }
    write_table(out / "table.csv", rows)
    write_json(out / "metrics.json", metrics)
    return Comparison(out, found, verdict, rare, metrics, run)


def _result(job: Job) -> Run | None:
    return read_run(job.out, job.config.method, job.config.seed)
