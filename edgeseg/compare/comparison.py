"""A comparison from start to end: its runs one after another, the table as it grows, the page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.atomic_files import lock_folder, write_json
from edgeseg.compare.html_page import write_comparison_page
from edgeseg.compare.plan import ComparisonPlan, ComparisonSetup, claim_folder
from edgeseg.compare.process_pool import run_jobs
from edgeseg.compare.recommendation import Recommendation, recommend_method
from edgeseg.compare.results import (
    SUPERVISED_ONLY,
    ComparedRun,
    MethodResult,
    group_by_method,
    rare_classes,
    read_run,
    table_row,
    write_table,
)
from edgeseg.compare.worker import TrainingJob
from edgeseg.errors import TrainError
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site


@dataclass(frozen=True)
class ComparisonResult:
    """A comparison that is over.

    Attributes:
        metrics: what `metrics.json` holds.
        chosen: the run to go on with; None when none finished.
    """

    path: Path
    methods: list[MethodResult]
    recommendation: Recommendation
    rare_classes: list[str]
    metrics: dict[str, Any]  # Any: numbers, lists and tables of them
    chosen: ComparedRun | None

    @property
    def failed(self) -> dict[str, str]:
        """Run and reason."""
        return {
            f"{each.method}-{seed}": reason
            for each in self.methods
            for seed, reason in each.failed.items()
        }


def run_comparison(
    site: Site,
    wanted: ComparisonPlan,
    out: Path,
    *,
    resume: bool = False,
    report: ProgressReporter | None = None,
) -> ComparisonResult:
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
        facts = claim_folder(site, wanted, out, resume=resume)
        todo = wanted.jobs(site.root, out)
        results = [run for job in todo if (run := _result(job))]
        open_jobs = [job for job in todo if _result(job) is None]
        failed: dict[tuple[str, int], str] = {}
        report.start(f"compare {out.name}", len(todo) * wanted.config.steps)
        report.advance(len(results) * wanted.config.steps)
        try:
            with closing(run_jobs(open_jobs, wanted.parallel_runs, report, wanted.gpus)) as ended:
                for job, reason in ended:
                    run = _result(job)
                    if run is not None:
                        results.append(run)
                        report.say(f"{job.name}: mIoU {run.last:.2f}")
                    else:
                        reason = reason or "it ended without a result"
                        failed[job.config.method, job.config.seed] = reason
                        report.say(f"{job.name} failed: {reason}")
                    _write_results(wanted, out, facts, results, failed, over=False)
        except KeyboardInterrupt:
            report.stop()
            report.say(
                f"stopped after {len(results)} of {len(todo)} runs; go on with `edgeseg compare --resume`"
            )
            raise
        report.stop()
        comparison = _write_results(wanted, out, facts, results, failed, over=True)
        write_comparison_page(
            site, comparison.methods, comparison.recommendation, facts, out / "report.html"
        )
    return comparison


def _write_results(
    wanted: ComparisonPlan,
    out: Path,
    facts: ComparisonSetup,
    results: Sequence[ComparedRun],
    failed: dict[tuple[str, int], str],
    *,
    over: bool,
) -> ComparisonResult:
    """Write the table as far as it goes."""
    found = group_by_method(results, failed, wanted.methods)
    floor = next((each for each in found if each.method == SUPERVISED_ONLY and each.runs), None)
    rare = rare_classes(facts.pixels)
    verdict = recommend_method(found, facts.causes)
    rows = [table_row(each, floor, rare) for each in found]
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
    return ComparisonResult(out, found, verdict, rare, metrics, run)


def _result(job: TrainingJob) -> ComparedRun | None:
    return read_run(job.out, job.config.method, job.config.seed)
