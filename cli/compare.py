"""`edgeseg compare`: which training method this site is best served with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared import options

if TYPE_CHECKING:
    from edgeseg.compare.comparison import Comparison

Methods = Annotated[
    str | None,
    typer.Option(
        help="With commas between, or `all`; the method of edgeseg.toml if left out. suponly "
        "is always in."
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
    encoder: Annotated[str | None, typer.Option(help="Any timm encoder.")] = None,
    imgsz: options.ImageSize = None,
    steps: options.Steps = None,
    batch: options.BatchSize = None,
    device: options.Device = None,
    workers: options.Workers = None,
    weights: options.Weights = None,
    jobs: Jobs = 1,
    threads: Threads = 0,
    resume: Resume = False,
    json: options.Json = False,
    set_: options.Set = None,
) -> None:
    """Train several methods over several seeds at one budget, and say which one to take on this
    site.
    """
    from edgeseg.errors import ConfigError
    from edgeseg.site import Site

    flags = {
        "encoder": encoder,
        "imgsz": options.size(imgsz),
        "steps": steps,
        "batch": batch,
        "batch_unlabelled": batch,
        "device": device,
        "workers": workers,
        "weights": options.weights(weights),
    }
    if any(text.partition("=")[0].strip() == "train.method" for text in set_ or []):
        raise ConfigError(
            "--set train.method and a comparison disagree; name the methods with --methods"
        )
    given = options.overrides("train", set_, **flags)
    site = Site.open(overrides=given)

    from edgeseg.cli.shared.console import report, say
    from edgeseg.compare.comparison import compare as run
    from edgeseg.compare.plan import plan, stored_plan, usable
    from edgeseg.compare.results import FLOOR

    config, number = site.config.train, seeds
    begun: tuple[str, ...] = ()
    if resume:
        out = options.run_folder(site, "compare", resume=True)
        config = options.configuration(config, out, "train", given, resume=True)
        begun, runs = stored_plan(out)
        number = (runs or None) if seeds is None else seeds
    names = [
        *begun,
        *_names(methods, "" if begun else config.method, usable(config, len(site.config.classes))),
    ]
    wanted = plan(site, config, names, 3 if number is None else number, jobs=jobs, threads=threads)
    if FLOOR not in names:
        say(f"{FLOOR} is added: it is the floor that the others have to beat")
    out = out if resume else options.run_folder(site, "compare", resume=False)
    with report() as progress:
        result = run(site, wanted, out, resume=resume, report=progress)
    _finish(result, json=json)


def _names(text: str | None, default: str, able: dict[str, str]) -> list[str]:
    """The methods asked for; `able` gives every method with the reason why it cannot work here, or
    nothing.
    """
    from edgeseg.cli.shared.console import say

    if text == "all":
        for why in filter(None, able.values()):
            say(f"left out: {why}")
        return [name for name, why in able.items() if not why]
    return [name.strip() for name in (default if text is None else text).split(",") if name.strip()]


def _finish(result: Comparison, *, json: bool) -> None:
    """Print the table, the recommendation, where things are and what to type next.

    Raises:
        TrainError: a run failed.
    """
    import json as encoder

    from rich.table import Table

    from edgeseg.cli.shared.console import console, say
    from edgeseg.compare.html_page import cells_of, head_of
    from edgeseg.errors import TrainError

    if json:
        print(encoder.dumps({"run": str(result.path), **result.metrics}))
    table = Table(*head_of(result.found), title="val after the last step")
    table.columns[0].no_wrap = True
    for column in table.columns[1:-1]:
        column.justify = "right"
    for line in cells_of(result.found, result.rare):
        table.add_row(*line)
    console.print(table)
    for name, reason in result.failed.items():
        say(f"{name} failed: {reason}")
    for sentence in result.verdict.sentences:
        say(sentence)
    say(f"Results saved to {result.path} (look at {result.path / 'report.html'})")
    if result.chosen is not None:
        say(f"Next: edgeseg distill {_short(result.chosen.path)}")
    if result.failed:
        names = ", ".join(result.failed)
        raise TrainError(
            f"{len(result.failed)} of {result.metrics['planned']} runs failed ({names}); mend what is said above and "
            "try them again with `edgeseg compare --resume`"
        )


def _short(path: Path) -> Path:
    """As one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
