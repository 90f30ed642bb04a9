"""`edgeseg status`: what the site holds and what to do next."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from edgeseg.cli.shared import options
from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.cli.shared.console import PlainConsole
    from edgeseg.data.site_summary import SiteSummary


def status(as_json: options.Json = False, set_: options.Set = None) -> None:
    """Show frames, classes, splits, runs and bundles of the site, with warnings and the next
    command.
    """
    from edgeseg.adapt.round_review import review_that_waits
    from edgeseg.cli.shared.console import progress_bar, say, table_console
    from edgeseg.data.frame_cache import cache_bytes_used
    from edgeseg.data.site_summary import summarize_site
    from edgeseg.errors import AdaptError
    from edgeseg.site import Site

    site = Site.open(overrides=set_)
    with progress_bar() as bar:
        summary = summarize_site(site, bar)
    try:
        waiting = review_that_waits(site)
    except AdaptError as error:
        summary.warnings.append(str(error))
    else:
        if waiting:
            summary.notes.append(waiting)
            summary.next = waiting.rpartition("`")[0].rpartition("`")[2]
    if as_json:
        print(to_json(dataclasses.asdict(summary), indent=2))
        return
    _print_tables(summary, table_console())
    if size := cache_bytes_used(site):
        print(f"cache/ takes {size / 1e9:.2f} GB and may be deleted at any time")
    for warning in summary.warnings:
        say(f"warning: {warning}")
    for note in summary.notes:
        say(f"note: {note}")
    say(f"next: {summary.next}")


def _print_tables(summary: SiteSummary, out: PlainConsole) -> None:
    from rich.table import Table

    from edgeseg.cli.shared.terminal_text import terminal_line

    where = terminal_line(f"{summary.name} in {summary.root}")
    out.print(where, highlight=False, soft_wrap=True)
    columns = ("labelled", "unlabelled", "val", "gate", "withheld")
    frames = Table("camera", title="frames", title_justify="left")
    for column in columns:
        frames.add_column(column, justify="right")
    for camera, counts in summary.frames.items():
        frames.add_row(camera, *(str(counts[column]) for column in columns))
    if len(summary.frames) != 1:
        frames.add_row("all", *(str(summary.total(column)) for column in columns))
    out.print(frames)

    classes = Table("id", "class", title="classes, % of labelled pixels", title_justify="left")
    for split in ("labelled", "val", "gate"):
        classes.add_column(split, justify="right")
    for index, (name, shares) in enumerate(summary.classes.items()):
        cells = (
            "-" if share is None else f"{share:.2f}" if share else "none"
            for share in shares.values()
        )
        classes.add_row(str(index), name, *cells)
    out.print(classes)

    if summary.runs:
        runs = Table("run", "mIoU", "", title="runs", title_justify="left")
        for run in summary.runs:
            figure = (
                f"{run.miou:.2f}" if run.miou is not None else "" if run.finished else "unfinished"
            )
            runs.add_row(f"{run.verb}/{run.name}", figure, run.interval)
        out.print(runs)
    if summary.bundles:
        bundles = Table("bundle", "seq", "made", "", title="bundles", title_justify="left")
        for info in summary.bundles:
            remark = "damaged" if info.fault else "current" if info.current else ""
            bundles.add_row(
                info.name, "" if info.seq is None else str(info.seq), info.created, remark
            )
        out.print(bundles)
