"""`edgeseg bench --students --accuracy`: every student is distilled at one budget, exported and
timed; a table, a plot and the frontier.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeseg.models.student_networks import Student
    from edgeseg.site import Site
    from edgeseg.students.candidates import Size
    from edgeseg.students.frontier import CandidateResult
    from edgeseg.students.trials import TrialPlan

DEFAULT_SEEDS = 1


def bench_trials(
    site: Site,
    students: Sequence[Student],
    sizes: Sequence[Size],
    *,
    run: Path | None,
    steps: int | None,
    seeds: int | None,
    weights: Sequence[str],
    resume: bool,
    threads: int,
    as_json: bool,
) -> None:
    """Run the trials, or go on with the newest ones, and print the table.

    Args:
        site: Whose frames are learnt from.
        students: What is tried, at every one of the `sizes`.
        run: The site model's; the newest train run if left out.
        weights: "ENCODER=FILE" each.

    Raises:
        ConfigError: An option is wrong, or there is nothing to resume.
        DataError: There is no site model, or frames are missing or damaged.
    """
    out, plan = _plan(site, students, sizes, run, steps, seeds, weights, resume=resume)

    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.cli.shared.terminal_text import shell_word
    from edgeseg.students.frontier import frontier
    from edgeseg.students.page import write_page
    from edgeseg.students.trials import RESULTS_FILE, run_trials

    with progress_bar() as bar:
        results = run_trials(site, plan, out, threads=threads, report=bar)
    write_page(site, plan, results, out / "report.html", threads)
    if as_json:
        print((out / RESULTS_FILE).read_text("utf-8").strip())
    else:
        _print_table(results)
    best = frontier(results)
    say(f"{out / 'report.html'} has the plot")
    if best:
        arch, encoder = best[-1].candidate.student
        height, width = best[-1].candidate.size
        say(
            f"next: edgeseg distill --encoder {shell_word(encoder)} --imgsz {height}x{width} --set "
            f"distill.arch={shell_word(arch)}, or take a bundle in {shell_word(out)}"
        )


def _plan(
    site: Site,
    students: Sequence[Student],
    sizes: Sequence[Size],
    run: Path | None,
    steps: int | None,
    seeds: int | None,
    weights: Sequence[str],
    *,
    resume: bool,
) -> tuple[Path, TrialPlan]:
    """Return the folder of the trials and what is tried in it.

    Raises:
        ConfigError: An option is wrong, or there is nothing to resume.
        DataError: There is no site model.
    """
    from edgeseg.errors import ConfigError
    from edgeseg.students.candidates import candidates_of
    from edgeseg.students.trials import VERB, TrialPlan, load_plan, save_plan

    starts = dict(text.partition("=")[::2] for text in weights)
    if not all(starts.values()):
        raise ConfigError("--start is ENCODER=FILE; write it like --start mobilenetv2_100=FILE")
    if resume:
        out = site.run_folder(VERB, resume=True)
        plan = load_plan(out)
        if seeds is not None and seeds > plan.seeds:
            plan = TrialPlan(plan.teacher, plan.candidates, seeds, plan.steps, plan.weights)
            save_plan(plan, out)
        return out, plan
    plan = TrialPlan(
        teacher=run or site.newest_finished_run("train"),
        candidates=candidates_of(students, sizes),
        seeds=seeds or DEFAULT_SEEDS,
        steps=steps or site.config.distill.steps,
        weights=starts,
    )
    out = site.run_folder(VERB, resume=False)
    save_plan(plan, out)
    return out, plan


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
