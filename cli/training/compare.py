"""`edgeseg compare`: the training method that serves this site best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared import options
from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.compare.comparison import ComparisonResult

Methods = Annotated[
    str | None,
    typer.Option(
        help="Methods with commas between, or `all`; the method of edgeseg.toml if left out. "
        "suponly is always in. Settings in brackets make a further row: "
        "'cutmix_mt,cutmix_mt[warmup=0.05],suponly[ema=0]'."
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
Ceiling = Annotated[
    str | None,
    typer.Option(
        help="What all labels would give: mIoU in percent, or the run or comparison of a site that "
        "has them. The table then shows the share of the way from suponly to it."
    ),
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
    tracker: options.Trackers = None,
    jobs: Jobs = 1,
    threads: Threads = 0,
    ceiling: Ceiling = None,
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
        trackers=tracker or None,
    )
    _refuse_method_override(set_ or [])
    site, overrides = options.open_site("train", set_, flags)

    from edgeseg.cli.shared.console import progress_bar
    from edgeseg.compare.comparison import compare as compare_methods
    from edgeseg.compare.comparison_folder import read_ceiling
    from edgeseg.compare.plan import method_obstacles

    config, out = site.config.train, None
    if resume:
        out = site.run_folder("compare", resume=True)
        config = options.run_configuration(config, out, "train", overrides, resume=True)
    names = choose_methods(methods, method_obstacles(config, len(site.config.classes)))
    with progress_bar() as bar:
        result = compare_methods(
            site,
            names,
            seeds=seeds,
            config=config,
            out=out,
            jobs=jobs,
            threads=threads,
            ceiling=read_ceiling(ceiling) if ceiling is not None else None,
            resume=resume,
            report=bar,
        )
    _print_result(result, as_json=as_json)


def _refuse_method_override(given: list[str]) -> None:
    from edgeseg.errors import ConfigError

    if any(text.partition("=")[0].strip() == "train.method" for text in given):
        raise ConfigError(
            "--set train.method and a comparison disagree; name the methods with --methods"
        )


def choose_methods(text: str | None, obstacles: dict[str, str]) -> list[str]:
    """Return the methods asked for; none where the choice is left to the site.

    Args:
        text: Names with commas between, "all" among them for every method, or None.
        obstacles: For every method the reason why it cannot work here, or an empty text.
    """
    from edgeseg.cli.shared.console import say
    from edgeseg.compare.variants import split_variants

    chosen: list[str] = []
    for name in split_variants(text or ""):
        if name != "all":
            chosen.append(name)
            continue
        for reason in filter(None, obstacles.values()):
            say(f"left out: {reason}")
        chosen += [method for method, reason in obstacles.items() if not reason]
    return chosen


def _print_result(result: ComparisonResult, *, as_json: bool) -> None:
    """Print the table, the recommendation, where things are and what to type next.

    Raises:
        TrainError: A run failed.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from edgeseg.cli.shared.console import console, say
    from edgeseg.cli.shared.terminal_text import shell_word
    from edgeseg.compare.result_table import table_cells, table_header
    from edgeseg.errors import TrainError

    if as_json:
        print(to_json({"run": str(result.path), **result.metrics}))
    header = table_header(result.methods, result.ceiling)
    table = Table(  # of many columns, so with little between them
        *header, title="val after the last step", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.columns[0].overflow = "fold"  # long settings give way, figures do not
    for column in table.columns[1:]:
        column.no_wrap = True
    for column in table.columns[1:-1]:
        column.justify = "right"
    cells = table_cells(result.methods, result.rare_classes, result.val_blocks, result.ceiling)
    for line in cells:
        table.add_row(*line)
    console.print(table)
    for name, reason in result.failed.items():
        say(f"{name} failed: {reason}")
    for sentence in result.recommendation.sentences:
        say(sentence)
    say(f"Results saved to {result.path} (look at {result.path / 'report.html'})")
    if result.chosen is not None:
        say(f"Next: edgeseg distill {shell_word(_relative_to_here(result.chosen.path))}")
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
