"""`edgeseg export`: the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli.shared import options

if TYPE_CHECKING:
    from edgeseg.export.exporter import ExportResult
    from edgeseg.site import Site


def export(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="The run to export; the newest distill run, else train run, if left out. With --check a bundle; the "
            "site's current one if left out."
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Export nothing, but check the INT8 files of a bundle for TensorRT."
        ),
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write INT8 files, for CPUs and TensorRT.")
    ] = False,
    half: Annotated[bool, typer.Option("--half", help="Also write an FP16 file.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="The bundle's folder; bundles/<run>-<digest> if left out.")
    ] = None,
    imgsz: options.ImageSize = None,
    max_drop: Annotated[
        float | None, typer.Option(help="mIoU points that INT8 may lose on val.")
    ] = None,
    max_class_drop: Annotated[
        float | None, typer.Option(help="IoU points that INT8 may lose of any class.")
    ] = None,
    min_speedup: Annotated[
        float | None, typer.Option(help="How many times as fast as FP32 INT8 must run here.")
    ] = None,
    qat: Annotated[
        bool, typer.Option("--qat", help="Train the INT8 codes if nothing else is accurate.")
    ] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Make it bundles/current even if there is one.")
    ] = False,
    json: options.Json = False,
    set_: options.Set = None,
) -> None:
    """Export a model as a bundle for devices, after checking every file of it on the val frames."""
    from edgeseg.errors import ConfigError
    from edgeseg.site import Site

    if publish and output is not None:
        raise ConfigError(
            "--publish and --output disagree: only a bundle in the site's bundles/ can be "
            "current; leave one out"
        )
    flags = {
        "int8": int8,
        "half": half,
        "imgsz": options.size(imgsz),
        "max_drop": max_drop,
        "max_class_drop": max_class_drop,
        "min_speedup": min_speedup,
        "qat": qat,
    }
    if check:
        from edgeseg.cli.export_check import check_bundle

        given = [
            f"--{name.replace('_', '-')}"
            for name, value in flags.items()
            if value not in (None, False)
        ]
        given += [name for name, value in (("--output", output), ("--publish", publish)) if value]
        if given:
            raise ConfigError(
                f"--check exports nothing, so it disagrees with {', '.join(given)}; leave one out"
            )
        check_bundle(run, set_ or [], json=json)
        return
    site = Site.open(overrides=options.overrides("export", set_, **flags))
    chosen = _newest(site) if run is None else run if run.exists() else site.root / run

    from edgeseg.adapt.publish import next_seq
    from edgeseg.cli.shared.console import report, say
    from edgeseg.export.exporter import export as work

    with report() as progress:
        result = work(
            site,
            site.config.export,
            chosen,
            output,
            seq=next_seq(site),
            record=True,
            report=progress,
        )
    current = output is None and not result.refused and _point(site, result.bundle, always=publish)
    _show(result, json=json)
    assert result.folder is not None
    say(f"Pictures and figures: {result.folder / 'report.html'}")
    if current:
        say("bundles/current points at it now")
    elif output is None:
        say("bundles/current was left as it is; --publish makes this bundle the current one")
    if result.refused:
        say("; ".join(result.refused), style="bold")
        raise typer.Exit(1)
    say(f"Next: edgeseg infer {'' if current else f'{result.bundle} '}--source VIDEO")


def _newest(site: Site) -> Path:
    from edgeseg.errors import DataError

    try:
        return site.last_run("distill")
    except DataError:
        return site.last_run("train")


def _point(site: Site, bundle: Path, *, always: bool) -> bool:
    """Make `bundle` current if there is none, or `always`; whether it was done."""
    from edgeseg.atomic_files import replace_link

    if site.current_bundle.exists() and not always:
        return site.current_bundle.resolve() == bundle.resolve()
    replace_link(site.current_bundle, bundle.name)
    return True


def _show(result: ExportResult, *, json: bool) -> None:
    import json as encoder

    from rich.table import Table

    from edgeseg.cli.shared.console import console, say
    from edgeseg.export.reporting.model_card import HEADER, LADDER, ladders, rows

    if json:
        found: dict[str, Any] = {
            "bundle": str(result.bundle),
            "refused": result.refused,
            "figures": result.figures,
        }
        print(encoder.dumps(found))
    table = Table(*HEADER, title="the same val frames through every file")
    for cells in rows(result.figures, interval=False):
        table.add_row(*cells)
    console.print(table)
    for flavour, rungs in ladders(result.figures).items():
        ladder = Table(*LADDER, title=f"how {flavour} was made; the last one counts")
        for cells in rungs:
            ladder.add_row(*cells)
        console.print(ladder)
    say(f"Bundle saved to {result.bundle} (read {result.bundle / 'card.md'})")
