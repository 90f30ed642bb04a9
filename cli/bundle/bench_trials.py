"""`edgeseg bench --students --accuracy`: every student is distilled at one budget, exported and
timed; a table, a plot and the frontier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeseg.models.student_networks import Student
    from edgeseg.site import Site
    from edgeseg.students.candidates import Size
    from edgeseg.students.frontier import CandidateResult
    from edgeseg.students.trials import TrialPlan

DEFAULT_SEEDS = 1


@dataclass(frozen=True)
class TrialOptions:
    """The options of `--accuracy`.

    Attributes:
        accuracy: Whether the students are trained, and not only timed.
        teacher: The site model's run; the newest train run if left out.
        steps: Of each distillation; the site's if left out.
        seeds: Distillations of each.
        weights: Where encoders start, "ENCODER=FILE" each.
        resume: Whether the newest trials go on.
    """

    accuracy: bool = False
    teacher: Path | None = None
    steps: int | None = None
    seeds: int | None = None
    weights: tuple[str, ...] = ()
    resume: bool = False

    def refuse_without_accuracy(self) -> None:
        """Refuse options that only a training reads.

        Raises:
            ConfigError: One was given.
        """
        from edgeseg.errors import ConfigError

        given = {
            "--teacher": self.teacher,
            "--steps": self.steps,
            "--seeds": self.seeds,
            "--start": self.weights,
            "--resume": self.resume,
        }
        for option, value in given.items():
            if value and not self.accuracy:
                raise ConfigError(f"{option} goes with --accuracy; add it, or leave {option} out")


def bench_trials(
    site: Site,
    students: Sequence[Student],
    sizes: Sequence[Size],
    trials: TrialOptions,
    *,
    not_to_resume: Mapping[str, object],
    threads: int,
    as_json: bool,
) -> None:
    """Run trials, or go on with the newest ones, and print the table.

    Args:
        site: Whose frames are learnt from.
        students: What is tried, at every one of the `sizes`.
        trials: How.
        not_to_resume: Options that only new trials take, by name.

    Raises:
        ConfigError: An option is wrong, or there is nothing to resume.
        DataError: There is no site model, or frames are missing or damaged.
        TrainError: No trial came to an end.
    """
    starts = _starts(trials.weights)
    if trials.resume:
        out, plan = _go_on(site, not_to_resume, trials.seeds, starts)
    else:
        out, plan = _begin(
            site, students, sizes, trials.teacher, trials.steps, trials.seeds, starts
        )

    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.errors import TrainError
    from edgeseg.students.candidates import distill_command
    from edgeseg.students.frontier import frontier
    from edgeseg.students.page import reasons, write_page
    from edgeseg.students.trials import RESULTS_FILE, run_trials

    with progress_bar() as bar:
        results = run_trials(site, plan, out, threads=threads, report=bar)
    write_page(site, plan, results, out / "report.html", threads)
    if as_json:
        print((out / RESULTS_FILE).read_text("utf-8").strip())
    else:
        _print_table(results)
    for reason in reasons(results):
        say(f"note: {reason}")
    if not any(result.seeds for result in results):
        raise TrainError(
            f"no trial came to an end: {results[0].failed}; mend that and go on with "
            "`edgeseg bench --students --accuracy --resume`"
        )
    say(f"{out / 'report.html'} has the plot, and {out} a bundle of each")
    best = frontier(results)
    if best:
        say(f"next: {distill_command(best[-1].candidate, site.config.distill)}")


def _begin(
    site: Site,
    students: Sequence[Student],
    sizes: Sequence[Size],
    run: Path | None,
    steps: int | None,
    seeds: int | None,
    starts: Mapping[str, str],
) -> tuple[Path, TrialPlan]:
    """Return the folder of new trials and what is tried in it.

    Raises:
        DataError: There is no site model.
        TrainError: The run that is named is none.
    """
    from edgeseg.cli.shared.options import choose_run_folder
    from edgeseg.models.model_files import read_card
    from edgeseg.students.candidates import candidates_of
    from edgeseg.students.trials import VERB, TrialPlan, save_plan

    teacher = run or site.newest_finished_run("train")
    read_card(teacher)  # a wrong one would be noticed by every trial
    plan = TrialPlan(
        teacher=teacher,
        candidates=candidates_of(students, sizes),
        seeds=seeds or DEFAULT_SEEDS,
        steps=steps or site.config.distill.steps,
        distill=site.config.distill,
        export=site.config.export,
        weights=starts,
    )
    out = choose_run_folder(site, VERB, resume=False)
    save_plan(site, plan, out)
    return out, plan


def _go_on(
    site: Site, given: Mapping[str, object], seeds: int | None, starts: Mapping[str, str]
) -> tuple[Path, TrialPlan]:
    """Return the folder of the newest trials and what is tried in it, with more seeds if asked.

    Raises:
        ConfigError: There is nothing to resume, or an option would change what was begun.
    """
    from edgeseg.cli.shared.options import choose_run_folder
    from edgeseg.errors import ConfigError
    from edgeseg.students.trials import VERB, load_plan, save_plan

    out = choose_run_folder(site, VERB, resume=True)
    plan = load_plan(site, out)
    for option, value in given.items():
        if value:
            raise ConfigError(
                f"{option} and --resume disagree: the trials in {out} go on as they were begun; "
                "leave it out, or start new ones"
            )
    if seeds is not None and seeds < plan.seeds:
        raise ConfigError(f"{out} was begun with {plan.seeds} seeds; more can be added, not fewer")
    plan = replace(plan, seeds=seeds or plan.seeds, weights={**plan.weights, **starts})
    save_plan(site, plan, out)
    return out, plan


def _starts(weights: Sequence[str]) -> dict[str, str]:
    """Return where encoders start by their names; files with their whole path.

    Raises:
        ConfigError: A text is not ENCODER=FILE.
    """
    from edgeseg.disk.stored_paths import home_path
    from edgeseg.errors import ConfigError

    starts = {}
    for text in weights:
        encoder, _, start = text.partition("=")
        if not (encoder and start):
            raise ConfigError(
                f"--start {text!r} is not ENCODER=FILE; write it like --start mobilenetv2_100=FILE"
            )
        is_file = start not in ("imagenet", "none")
        starts[encoder] = str(home_path(Path(start)).absolute()) if is_file else start
    return starts


def _print_table(results: Sequence[CandidateResult]) -> None:
    from rich.table import Table

    from edgeseg.cli.shared.console import table_console
    from edgeseg.students.page import HEAD, table_rows

    table = Table(*HEAD, box=None)
    for column in table.columns[2:-1]:
        column.justify = "right"
    for row in table_rows(results):
        table.add_row(*row)
    table_console(160).print(table)
