"""A comparison from start to end: its runs one after another, the table as it grows, the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeseg.atomic_files import lock_folder, write_json
from edgeseg.compare.comparison_folder import (
    ComparisonSetup,
    claim_folder,
    load_stored_ceiling,
    load_stored_plan,
)
from edgeseg.compare.frame_noise import explain_frames
from edgeseg.compare.html_page import write_comparison_page
from edgeseg.compare.plan import ComparisonPlan, idle_settings, plan_comparison
from edgeseg.compare.process_pool import run_jobs
from edgeseg.compare.recommendation import Recommendation, recommend_method
from edgeseg.compare.result_table import table_row, write_table
from edgeseg.compare.results import (
    SUPERVISED_ONLY,
    ComparedRun,
    MethodResult,
    find_method,
    group_by_method,
    rare_classes,
    read_run,
)
from edgeseg.compare.worker import TrainingJob
from edgeseg.config import TrainConfig
from edgeseg.errors import TrainError
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site

DEFAULT_SEEDS = 3
FailedRuns = dict[tuple[str, int], str]  # reason by method and seed


@dataclass(frozen=True)
class ComparisonResult:
    """A comparison that is over.

    Attributes:
        path: Its folder, with a sub-folder for each run.
        methods: The methods, best mean first; one without a finished run stands last.
        recommendation: The method to take, with the reasons.
        rare_classes: Names of the classes over which the column "rare" is the mean.
        metrics: The content of `metrics.json`.
        chosen: The run to go on with; None when none finished.
        val_blocks: The number of each val frame's block, by which intervals are drawn.
        ceiling: mIoU that all labels would give, if that is known.
    """

    path: Path
    methods: list[MethodResult]
    recommendation: Recommendation
    rare_classes: list[str]
    metrics: dict[str, Any]  # Any: numbers, lists and tables of them
    chosen: ComparedRun | None
    val_blocks: Sequence[int] = ()
    ceiling: float | None = None

    @property
    def failed(self) -> dict[str, str]:
        """The reason of every run that failed, by `<method>-<seed>`."""
        return {
            f"{result.method}-{seed}": reason
            for result in self.methods
            for seed, reason in result.failed.items()
        }


def compare(
    site: Site,
    methods: Sequence[str] = (),
    *,
    seeds: int | None = None,
    config: TrainConfig | None = None,
    out: Path | str | None = None,
    jobs: int = 1,
    threads: int = 0,
    ceiling: float | None = None,
    resume: bool = False,
    report: ProgressReporter | None = None,
) -> ComparisonResult:
    """Train several methods over several seeds at one budget, and say which one to take on this
    site.

    Every run is a process of its own that trains into `out/<method>-<seed>` (a variant's into
    `out/<method>+<setting>+...-<seed>`). Table, curves and
    recommendation stand in `out/report.html`, `out/table.csv` and `out/metrics.json`. A run that
    fails is told in the result, the others go on.

    Args:
        site: The site whose frames are trained on and measured.
        methods: Names of methods; the site's own if left out. Settings in brackets make a variant,
            a further row: "cutmix_mt[warmup=0.05]". "suponly", trained on the labels alone, is
            always among them: it is what the others have to beat.
        seeds: Runs of each method, with the seeds `config.seed`, `config.seed + 1`, ...; if left
            out 3, or as many as the comparison that is resumed has.
        config: The settings of every run; its method is ignored but where `methods` is empty.
            `site.config.train` if left out.
        out: The folder; a new `runs/compare/expN` if left out, the newest one to resume.
        jobs: Runs at a time; where there are several GPUs they are spread over them.
        threads: CPU threads of each run, 0 to share the cores among the runs.
        ceiling: mIoU in percent that all labels would give on this val (`read_ceiling`): the table
            then says how much of the way from "suponly" to it each method has gone. Kept by a
            resumed comparison.
        resume: Continue the comparison in `out`: finished runs are left alone, others continue
            from their checkpoints. `methods` and `seeds` may add to it.
        report: Where progress is told; nowhere if left out.

    Returns:
        The methods with their figures, the recommendation, and the run to go on with.

    Raises:
        ConfigError: A method is unknown, a number cannot be, the configuration is none for a
            comparison, or there is nothing to resume.
        DataError: The site lacks labels or footage, or labelled frames are damaged.
        TrainError: A method cannot work here, or `out` holds another comparison or one with other
            settings.
    """
    report = report or NullReporter()
    settings = config or site.config.train
    earlier_methods: tuple[str, ...] = ()
    earlier_seeds = 0
    folder = Path(out) if out else None
    if resume:
        folder = folder or site.run_folder("compare", resume=True)
        earlier_methods, earlier_seeds = load_stored_plan(folder)
    names = [*earlier_methods, *methods] or [settings.method]
    if seeds is None:
        seeds = earlier_seeds or DEFAULT_SEEDS
    plan = plan_comparison(site, settings, names, seeds, jobs=jobs, threads=threads)
    if ceiling is None and resume and folder is not None:
        ceiling = load_stored_ceiling(folder)
    plan = replace(plan, ceiling=ceiling)
    if SUPERVISED_ONLY not in names:
        report.say(f"{SUPERVISED_ONLY} is added: it is the floor that the others have to beat")
    for sentence in idle_settings(plan):
        report.say(sentence)
    # Only now that nothing is refused any more: a refused comparison leaves no folder behind.
    folder = folder or site.run_folder("compare", resume=False)
    return run_comparison(site, plan, folder, resume=resume, report=report)


def run_comparison(
    site: Site,
    plan: ComparisonPlan,
    out: Path,
    *,
    resume: bool = False,
    report: ProgressReporter | None = None,
) -> ComparisonResult:
    """Train what is planned into `out`; a run that fails is told in the result.

    Args:
        site: The site.
        plan: What is compared.
        out: The folder of the comparison.
        resume: Continue the comparison in `out`; finished runs are left alone, methods and seeds
            may be added.
        report: Where progress is told.

    Raises:
        TrainError: `out` holds another comparison, or one with other settings.
        DataError: Labelled frames are missing or damaged.
    """
    report = report or NullReporter()
    with lock_folder(out, TrainError):
        setup = claim_folder(site, plan, out, resume=resume)
        all_jobs = plan.jobs(site.root, out)
        finished = [run for job in all_jobs if (run := _read_result(job))]
        open_jobs = [job for job in all_jobs if _read_result(job) is None]
        failed: FailedRuns = {}
        report.start(f"compare {out.name}", len(all_jobs) * plan.config.steps)
        report.advance(len(finished) * plan.config.steps)
        try:
            with closing(run_jobs(open_jobs, plan.parallel_runs, report, plan.gpus)) as ended:
                for job, reason in ended:
                    run = _read_result(job)
                    if run is not None:
                        finished.append(run)
                        report.say(f"{job.name}: mIoU {run.last:.2f}")
                    else:
                        reason = reason or "it ended without a result"
                        failed[job.method, job.config.seed] = reason
                        report.say(f"{job.name} failed: {reason}")
                    _write_results(plan, out, setup, finished, failed, over=False)
        except KeyboardInterrupt:
            report.stop()
            report.say(
                f"stopped after {len(finished)} of {len(all_jobs)} runs; go on with "
                "`edgeseg compare --resume`"
            )
            raise
        report.stop()
        result = _write_results(plan, out, setup, finished, failed, over=True)
        write_comparison_page(
            site, result.methods, result.recommendation, setup, out / "report.html"
        )
    return result


def _read_result(job: TrainingJob) -> ComparedRun | None:
    return read_run(job.out, job.method, job.config.seed)


def _write_results(
    plan: ComparisonPlan,
    out: Path,
    setup: ComparisonSetup,
    finished: Sequence[ComparedRun],
    failed: Mapping[tuple[str, int], str],
    *,
    over: bool,
) -> ComparisonResult:
    """Write `table.csv` and `metrics.json` as far as the runs go, and return what they hold.

    Args:
        plan: What is compared.
        out: The folder of the comparison.
        setup: On what data and where.
        finished: The runs that are done.
        failed: The reasons of those that failed.
        over: Whether no further run comes; only then is there a recommendation in the file.
    """
    methods = group_by_method(finished, failed, plan.methods)
    baseline = find_method(methods, SUPERVISED_ONLY)
    rare = rare_classes(setup.pixels)
    recommendation = recommend_method(methods, setup.causes)
    doubt = explain_frames(methods, recommendation.method, setup.val_blocks)
    if doubt is not None:
        first, *others = recommendation.sentences
        recommendation = replace(recommendation, sentences=(first, doubt, *others))
    rows = [
        table_row(result, baseline, rare, setup.val_blocks, setup.ceiling) for result in methods
    ]
    chosen_method = find_method(methods, recommendation.method)
    chosen = max(chosen_method.runs, key=lambda run: run.best) if chosen_method else None
    metrics: dict[str, Any] = {
        "finished": over,
        "runs": len(finished),
        "planned": plan.seeds * len(plan.methods),
        "rare_classes": rare,
        "ceiling": setup.ceiling,
        "methods": rows,
    }
    if over:
        metrics["recommendation"] = {
            "method": recommendation.method,
            "run": chosen and str(chosen.path),
            "noise": recommendation.noise,
            "sentences": recommendation.sentences,
        }
    metrics["machine"] = setup.machine
    metrics["config"] = plan.config.model_dump(mode="json", exclude={"method"})
    write_table(out / "table.csv", rows)
    write_json(out / "metrics.json", metrics)
    return ComparisonResult(
        out, methods, recommendation, rare, metrics, chosen, setup.val_blocks, setup.ceiling
    )
