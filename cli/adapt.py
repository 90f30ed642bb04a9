"""`edgeseg adapt`: one round of adaptation, its history, and the way back."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli.shared import options
from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.adapt.round_runner import RoundResult
    from edgeseg.adapt.round_status import RoundStatus
    from edgeseg.site import Site


Logs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[LOGDIR]...", help="Frame logs of devices, or copies."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the round that was cut off; start none.")
]
Rollback = Annotated[
    bool, typer.Option("--rollback", help="Point bundles/current back at the bundle before.")
]
Abandon = Annotated[
    bool, typer.Option("--abandon", help="End the round that was cut off without a verdict.")
]
Status = Annotated[bool, typer.Option("--status", help="Show the rounds and their figures.")]


def adapt(
    logs: Logs = None,
    resume: Resume = False,
    rollback: Rollback = False,
    abandon: Abandon = False,
    status: Status = False,
    as_json: options.Json = False,
    set_: options.Set = None,
) -> None:
    """Learn from what devices logged: retrain, distil, export, and publish the new bundle if it
    passes the gate.

    A round that was cut off is continued by the next start. A rejected one leaves the champion
    running and says why.
    """
    from edgeseg.errors import ConfigError
    from edgeseg.site import Site

    flags = {"--resume": resume, "--rollback": rollback, "--abandon": abandon, "--status": status}
    chosen = [flag for flag, given in flags.items() if given]
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(chosen)} exclude each other; give one of them")
    if logs and chosen and not resume:
        raise ConfigError(f"{chosen[0]} takes no log folders; leave them out")
    site = Site.open(overrides=set_)
    if rollback:
        _rollback(site, as_json)
    elif abandon:
        _abandon(site, as_json)
    elif status:
        _print_status(site, as_json)
    else:
        _run_round(site, logs or [], resume, as_json)


def _run_round(site: Site, logs: list[Path], resume: bool, as_json: bool) -> None:
    from edgeseg.adapt.round_runner import run_round
    from edgeseg.cli.shared.console import progress_bar

    with progress_bar() as bar:
        result = run_round(site, logs, resume=resume, report=bar)
    if as_json:
        bundle = result.bundle and str(result.bundle)
        table = {
            "round": result.number,
            "verdict": result.verdict,
            "reason": result.reason,
            "bundle": bundle,
        }
        print(to_json({**table, "folder": str(result.folder), "figures": result.figures}))
    else:
        _print_figures(result)
    _print_verdict(result)


def _print_figures(result: RoundResult) -> None:
    from rich.table import Table

    from edgeseg.cli.shared.console import console
    from edgeseg.metrics import format_class_iou

    before, after, difference = (result.figures[key] for key in ("before", "after", "difference"))
    table = Table("gate", "champion", "challenger", "change")
    for name, (old, new) in result.figures["classes"].items():
        table.add_row(
            name,
            format_class_iou(old, split="gate"),
            format_class_iou(new, split="gate"),
            "-" if old is None or new is None else f"{new - old:+.1f}",
        )
    table.add_section()
    interval = f"{difference['mean']:+.2f} ({difference['low']:+.2f} to {difference['high']:+.2f})"
    table.add_row("mIoU", _number(before["miou"]), _number(after["miou"]), interval, style="bold")
    table.add_row(
        "FPS", _number(before["fps"]), _number(after["fps"]), f"{after['fps'] / before['fps']:.2f}x"
    )
    console.print(table)


def _print_verdict(result: RoundResult) -> None:
    from edgeseg.cli.shared.console import say

    if result.bundle is None:
        say(f"round {result.number:04d} is rejected, the champion stays: {result.reason}")
        next_command = "edgeseg adapt --status"
    else:
        say(f"round {result.number:04d} is published: {result.reason}")
        say(f"bundles/current is now {result.bundle}")
        next_command = (
            "edgeseg infer --source VIDEO (back to the old bundle: edgeseg adapt --rollback)"
        )
    say(f"Decision saved to {result.folder / 'decision.json'}")
    say(f"Next: {next_command}")


def _rollback(site: Site, as_json: bool) -> None:
    from edgeseg.adapt.round_runner import rollback
    from edgeseg.cli.shared.console import say

    left, now = rollback(site)
    if as_json:
        print(to_json({"left": left.path.name, "current": now.path.name, "seq": now.manifest.seq}))
    say(f"bundles/current is {now.path.name} again; {left.path.name} stays in bundles/")
    say("Next: edgeseg adapt --status")


def _abandon(site: Site, as_json: bool) -> None:
    from edgeseg.adapt.round_runner import abandon
    from edgeseg.cli.shared.console import say

    state = abandon(site)
    if as_json:
        print(to_json({"round": state.number, "verdict": state.verdict, "reason": state.reason}))
    say(f"round {state.number:04d} is {state.reason}; its records are free for the next")
    say("Next: edgeseg adapt LOGDIR")


def _print_status(site: Site, as_json: bool) -> None:
    from rich.table import Table

    from edgeseg.adapt.round_review import REVIEW_COMMAND, review_that_waits
    from edgeseg.adapt.round_status import list_rounds
    from edgeseg.cli.shared.console import say, table_console

    history = list_rounds(site)
    current = site.current_bundle.resolve().name if site.current_bundle.is_symlink() else None
    if as_json:
        print(
            to_json(
                {"current": current, "rounds": [dataclasses.asdict(entry) for entry in history]}
            )
        )
        return
    columns = (
        "round",
        "started (UTC)",
        "verdict",
        "records",
        "champion",
        "challenger",
        "95 % interval",
        "FPS",
        "bundle",
    )
    table = Table(*columns)
    for entry in history:
        table.add_row(*_row_of(entry))
    if history:
        table_console(160).print(table)
    for entry in history:
        if entry.reason:
            say(f"round {entry.number:04d}: {entry.reason}")
    is_open = any(entry.verdict == "open" for entry in history)
    waiting = review_that_waits(site)
    if waiting:
        say(waiting)
    where = (
        f"{len(history)} rounds in {site.root / 'rounds'}; bundles/current is "
        f"{current or 'missing'}"
    )
    say(where)
    resume = f"edgeseg adapt {'--resume' if is_open else 'LOGDIR'}"
    say(f"Next: {REVIEW_COMMAND if history and history[-1].review else resume}")


def _row_of(entry: RoundStatus) -> list[str]:
    interval = (
        "-" if entry.low is None or entry.high is None else f"{entry.low:+.2f} to {entry.high:+.2f}"
    )
    verdict = f"open, next: {entry.step}" if entry.verdict == "open" else entry.verdict
    return [
        f"{entry.number:04d}",
        entry.started[:16].replace("T", " "),
        verdict,
        _number(entry.records, 0),
        _number(entry.before),
        _number(entry.after),
        interval,
        _number(entry.fps),
        entry.bundle or "-",
    ]


def _number(value: Any, digits: int = 1) -> str:  # Any: a number or None, from JSON
    return "-" if value is None else f"{value:.{digits}f}"
