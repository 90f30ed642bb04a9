"""`edgeseg export`: the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli.shared import options
from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.export.exporter import ExportResult
    from edgeseg.export.tensorrt.checklist import ChecklistPoint
    from edgeseg.site import Site

Run = Annotated[
    Path | None,
    typer.Argument(
        help="The run to export; the newest distill run, else train run, if left out. With "
        "--check alone a bundle; the site's current one if left out."
    ),
]
Check = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Check a bundle for TensorRT: thirteen points about its INT8 files, and what NVIDIA's "
        "own parser and builder say where they are installed. Alone it exports nothing; with "
        "options of an export, such as --int8, it checks what was exported.",
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
    exporting = [
        f"--{name.replace('_', '-')}" for name, value in flags.items() if value not in (None, False)
    ]
    exporting += [name for name, value in (("--output", output), ("--publish", publish)) if value]
    _refuse_contradictions(publish, output, run, exporting if check else [])
    if check and not exporting:
        from edgeseg.cli.bundle.export_check import check_bundle

        check_bundle(run, set_ or [], as_json=as_json)
        return
    site, _ = options.open_site("export", set_, flags)
    _refuse_current_bundle(site, output)
    chosen_run = run if run is None or run.exists() else site.root / run

    from edgeseg.adapt.publish import next_seq
    from edgeseg.cli.bundle.export_check import check_exported, say_failures
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
            check=check,
            report=bar,
        )
    points = check_exported(result.bundle) if check else []
    _print_result(result, points, as_json=as_json)
    passed = say_failures(result.bundle, points, result.figures) or not check
    current = (
        output is None
        and passed
        and not result.refused
        and _make_current(site, result.bundle, always=publish)
    )
    assert result.folder is not None
    say(f"Pictures and figures: {result.folder / 'report.html'}")
    if current:
        say("bundles/current points at it now")
    elif output is None and (result.refused or not passed):
        say("bundles/current was left as it is, since not everything passed")
    elif output is None:
        say("bundles/current was left as it is; --publish makes this bundle the current one")
    if result.refused:
        say("; ".join(result.refused), style="bold")
    if result.refused or not passed:
        raise typer.Exit(1)
    named = "" if current else f"{shell_word(result.bundle)} "
    say(f"Next: edgeseg infer {named}--source VIDEO")


def _refuse_contradictions(
    publish: bool, output: Path | None, run: Path | None, checked_export: Sequence[str]
) -> None:
    """Refuse options that exclude each other.

    Args:
        checked_export: The options of an export that were given beside --check.

    Raises:
        ConfigError: Two of them were given.
    """
    from edgeseg.bundle.manifest import MANIFEST
    from edgeseg.errors import ConfigError

    if publish and output is not None:
        raise ConfigError(
            "--publish and --output disagree: only a bundle in the site's bundles/ can be "
            "current; leave one out"
        )
    if checked_export and run is not None and (run / MANIFEST).exists():
        raise ConfigError(
            f"{run} is a bundle, which --check alone checks, but {', '.join(checked_export)} "
            "exports a run; leave out one or the other"
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


def _print_result(result: ExportResult, points: Sequence[ChecklistPoint], *, as_json: bool) -> None:
    """Print what came out.

    Args:
        points: Of the checklist, where one was asked for.
    """
    from edgeseg.cli.bundle.export_check import points_as_json
    from edgeseg.cli.bundle.export_tables import print_figures, print_library_verdicts, print_points
    from edgeseg.cli.shared.console import say

    if as_json:
        facts: dict[str, Any] = {  # Any: what json can hold
            "bundle": str(result.bundle),
            "refused": result.refused,
            "figures": result.figures,
        }
        print(to_json(facts | (points_as_json(points) if points else {})))
    print_figures(result.figures)
    if points:
        print_points(points)
    print_library_verdicts(result.figures)
    for remark in result.remarks:
        say(remark)
    say(f"Bundle saved to {result.bundle} (read {result.bundle / 'card.md'})")
