"""`edgeseg compare`: the training method that serves this site best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared import options

if TYPE_CHECKING:
    from edgeseg.compare.comparison import ComparisonResult

DEFAULT_SEEDS = 3
Methods = Annotated[
    str | None,
    typer.Option(
        help="Methods with commas between, or `all`; the method of edgeseg.toml if left out. "
        "suponly is always in."
    ),
]
Seeds = Annotated[int | None, typer.Option(help="Runs of each method, 3 if left out.")]
Jobs = Annotated[
    int,
    typer.Option(help="Runs at a time; where there are several GPUs they are spread over them."),
]
Threads = Annotated[
    int, typer.Option(help="CPU threads of each run, 0 to share the cores among the runs.")
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Continue the newest comparison; --methods and --seeds may add to it."
    ),
]


def compare(
    methods: Methods = None,
    seeds: Seeds = None,
    encoder: options.Encoder = None,
    imgsz: options.ImageSize = None,
    steps: options.Steps = None,
    batch: options.BatchSize = None,
    device: options.Device = None,
    workers: options.Workers = None,
    weights: options.Weights = None,
    jobs: Jobs = 1,
    threads: Threads = 0,
    resume: Resume = False,
    as_json: options.Json = False,
    set_: options.Set = None,
) -> None:
    """Train several methods over several seeds at one budget, and say which one to take on this
    site.
    """
    flags = options.training_flags(
        encoder=encoder,
        imgsz=imgsz,
        steps=steps,
        batch=batch,
        device=device,
        workers=workers,
        weights=weights,
    )
    _refuse_method_override(set_ or [])
    site, overrides = options.open_site("train", set_, flags)

    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.compare.comparison import run_comparison as compare_methods
    from edgeseg.compare.plan import method_obstacles, plan_comparison, stored_plan
    from edgeseg.compare.results import SUPERVISED_ONLY

    config = site.config.train
    begun: tuple[str, ...] = ()
    if resume:
        out = options.choose_run_folder(site, "compare", resume=True)
        config = options.run_configuration(config, out, "train", overrides, resume=True)
        begun, stored_seeds = stored_plan(out)
        if seeds is None:
            seeds = stored_seeds or None
    default_method = "" if begun else config.method
    reasons = method_obstacles(config, len(site.config.classes))
    names = [*begun, *choose_methods(methods, default_method, reasons)]
    number = DEFAULT_SEEDS if seeds is None else seeds
    planned = plan_comparison(site, config, names, number, jobs=jobs, threads=threads)
    if SUPERVISED_ONLY not in names:
        say(f"{SUPERVISED_ONLY} is added: it is the floor that the others have to beat")
    if not resume:
        out = options.choose_run_folder(site, "compare", resume=False)
    with progress_bar() as bar:
        result = compare_methods(site, planned, out, resume=resume, report=bar)
    _print_result(result, as_json=as_json)


def _refuse_method_override(given: list[str]) -> None:
    from edgeseg.errors import ConfigError

    if any(text.partition("=")[0].strip() == "train.method" for text in given):
        raise ConfigError(
            "--set train.method and a comparison disagree; name the methods with --methods"
        )


def choose_methods(text: str | None, default: str, reasons: dict[str, str]) -> list[str]:
    """Return the methods asked for.

    Args:
        text: Names with commas between, "all", or None.
        default: The names that None stands for.
        reasons: For every method the reason why it cannot work here, or an empty text.
    """
    from edgeseg.cli.shared.console import say

    if text == "all":
        for reason in filter(None, reasons.values()):
            say(f"left out: {reason}")
        return [name for name, reason in reasons.items() if not reason]
    return [name.strip() for name in (default if text is None else text).split(",") if name.strip()]


def _print_result(result: ComparisonResult, *, as_json: bool) -> None:
    """Print the table, the recommendation, where things are and what to type next.

    Raises:
        TrainError: A run failed.
    """
    from rich.table import Table

    from edgeseg.cli.shared.console import console, say
    from edgeseg.compare.html_page import table_cells, table_header
    from edgeseg.errors import TrainError

    if as_json:
        print(json.dumps({"run": str(result.path), **result.metrics}))
    table = Table(*table_header(result.methods), title="val after the last step")
    table.columns[0].no_wrap = True
    for column in table.columns[1:-1]:
        column.justify = "right"
    for line in table_cells(result.methods, result.rare_classes):
        table.add_row(*line)
    console.print(table)
    for name, reason in result.failed.items():
        say(f"{name} failed: {reason}")
    for sentence in result.recommendation.sentences:
        say(sentence)
    say(f"Results saved to {result.path} (look at {result.path / 'report.html'})")
    if result.chosen is not None:
        say(f"Next: edgeseg distill {_relative_to_here(result.chosen.path)}")
    if result.failed:
        names = ", ".join(result.failed)
        raise TrainError(
            f"{len(result.failed)} of {result.metrics['planned']} runs failed ({names}); mend what "
            "is said above and try them again with `edgeseg compare --resume`"
        )


def _relative_to_here(path: Path) -> Path:
    """Return the path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
