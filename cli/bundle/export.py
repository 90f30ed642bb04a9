"""`edgeseg export`: the bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli.shared import options
from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.export.exporter import ExportResult
    from edgeseg.site import Site

Run = Annotated[
    Path | None,
    typer.Argument(
        help="The run to export; the newest distill run, else train run, if left out. With "
        "--check a bundle; the site's current one if left out."
    ),
]
Check = Annotated[
    bool,
    typer.Option(
        "--check", help="Export nothing, but check the INT8 files of a bundle for TensorRT."
    ),
]
Int8 = Annotated[bool, typer.Option("--int8", help="{export.int8}")]
Half = Annotated[bool, typer.Option("--half", help="{export.half}")]
Output = Annotated[
    Path | None,
    typer.Option(
        help="The bundle's folder; one in bundles/, named by run and digest, if left out."
    ),
]
ImageSize = Annotated[
    str | None,
    typer.Option("--imgsz", metavar="N|HxW", help="{export.imgsz} Written 256 or 256x320."),
]
MaxDrop = Annotated[float | None, typer.Option(help="{export.max_drop}")]
MaxClassDrop = Annotated[float | None, typer.Option(help="{export.max_class_drop}")]
MinSpeedup = Annotated[float | None, typer.Option(help="{export.min_speedup}")]
Qat = Annotated[bool, typer.Option("--qat", help="{export.qat}")]
Publish = Annotated[
    bool, typer.Option("--publish", help="Make it bundles/current even if there is one.")
]


def export(
    run: Run = None,
    check: Check = False,
    int8: Int8 = False,
    half: Half = False,
    output: Output = None,
    imgsz: ImageSize = None,
    max_drop: MaxDrop = None,
    max_class_drop: MaxClassDrop = None,
    min_speedup: MinSpeedup = None,
    qat: Qat = False,
    publish: Publish = False,
    as_json: options.Json = False,
    set_: options.Set = None,
) -> None:
    """Export a model as a bundle for devices, after checking every file of it on the val frames."""
    flags = {
        "int8": int8,
        "half": half,
        "imgsz": options.parse_size(imgsz),
        "max_drop": max_drop,
        "max_class_drop": max_class_drop,
        "min_speedup": min_speedup,
        "qat": qat,
    }
    _refuse_contradictions(check, publish, output, flags)
    if check:
        from edgeseg.cli.bundle.export_check import check_bundle

        check_bundle(run, set_ or [], as_json=as_json)
        return
    site, _ = options.open_site("export", set_, flags)
    _refuse_current_bundle(site, output)
    chosen_run = run if run is None or run.exists() else site.root / run

    from edgeseg.adapt.publish import next_seq
    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.cli.shared.terminal_text import shell_word
    from edgeseg.export.exporter import export as export_bundle

    with progress_bar() as bar:
        result = export_bundle(
            site,
            site.config.export,
            chosen_run,
            output,
            seq=next_seq(site),
            record=True,
            report=bar,
        )
    current = (
        output is None and not result.refused and _make_current(site, result.bundle, always=publish)
    )
    _print_result(result, as_json=as_json)
    assert result.folder is not None
    say(f"Pictures and figures: {result.folder / 'report.html'}")
    if current:
        say("bundles/current points at it now")
    elif output is None:
        say("bundles/current was left as it is; --publish makes this bundle the current one")
    if result.refused:
        say("; ".join(result.refused), style="bold")
        raise typer.Exit(1)
    named = "" if current else f"{shell_word(result.bundle)} "
    say(f"Next: edgeseg infer {named}--source VIDEO")


def _refuse_contradictions(
    check: bool, publish: bool, output: Path | None, flags: Mapping[str, object]
) -> None:
    """Refuse options that exclude each other.

    Raises:
        ConfigError: Two of them were given.
    """
    from edgeseg.errors import ConfigError

    if publish and output is not None:
        raise ConfigError(
            "--publish and --output disagree: only a bundle in the site's bundles/ can be "
            "current; leave one out"
        )
    given = [
        f"--{name.replace('_', '-')}" for name, value in flags.items() if value not in (None, False)
    ]
    given += [name for name, value in (("--output", output), ("--publish", publish)) if value]
    if check and given:
        raise ConfigError(
            f"--check exports nothing, so it disagrees with {', '.join(given)}; leave one out"
        )


def _refuse_current_bundle(site: Site, output: Path | None) -> None:
    """Refuse to replace the bundle in use: devices and `adapt --rollback` rely on it.

    Raises:
        ConfigError: --output is that bundle.
    """
    from edgeseg.errors import ConfigError

    current = site.current_bundle
    if output is not None and current.exists() and output.resolve() == current.resolve():
        raise ConfigError(
            f"--output {output} is the site's current bundle, which is never changed; leave "
            "--output out, and --publish makes the new bundle the current one"
        )


def _make_current(site: Site, bundle: Path, *, always: bool) -> bool:
    """Make `bundle` current if there is none, or `always`; return whether it is current now."""
    from edgeseg.atomic_files import replace_link

    if site.current_bundle.exists() and not always:
        return site.current_bundle.resolve() == bundle.resolve()
    replace_link(site.current_bundle, bundle.name)
    return True


def _print_result(result: ExportResult, *, as_json: bool) -> None:
    from rich.table import Table

    from edgeseg.cli.shared.console import console, say
    from edgeseg.export.reporting.model_card import (
        PARITY_HEADER,
        RECIPE_HEADER,
        parity_rows,
        recipe_rows,
    )

    if as_json:
        facts: dict[str, Any] = {  # Any: what json can hold
            "bundle": str(result.bundle),
            "refused": result.refused,
            "figures": result.figures,
        }
        print(to_json(facts))
    table = Table(*PARITY_HEADER, title="the same val frames through every file")
    for cells in parity_rows(result.figures, interval=False):
        table.add_row(*cells)
    console.print(table)
    for flavour, attempts in recipe_rows(result.figures).items():
        history = Table(*RECIPE_HEADER, title=f"how {flavour} was made; the last one counts")
        for cells in attempts:
            history.add_row(*cells)
        console.print(history)
    say(f"Bundle saved to {result.bundle} (read {result.bundle / 'card.md'})")
