"""`edgeseg log`: look into the frame log of a device, or a copy of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.shared.options import Json
from edgeseg.cli.shared.terminal_text import shell_word
from edgeseg.json_text import to_json

app = typer.Typer(
    no_args_is_help=True, help="List, show, export and verify the records of a frame log."
)
Newest = Annotated[
    Path | None,
    typer.Argument(
        metavar="DIR", help="The frame log; the newest of `edgeseg infer --log auto` if left out."
    ),
]
Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", help="The folder given to `edgeseg infer --log`, or a copy of it."
    ),
]


@app.command()
def ls(directory: Newest = None, as_json: Json = False) -> None:
    """List the records in the order in which they were logged."""
    from rich.table import Table

    from edgeseg.cli.shared.console import say, table_console
    from edgeseg.runtime.framelog.reader import read_headers

    folder = directory or _newest_log()
    table = Table(
        "boot", "seq", "camera", "time (UTC)", "score", "reason", "flags", "kB", "digest", box=None
    )
    count = 0
    faults: list[str] = []
    for path, header in read_headers(folder):
        if isinstance(header, str):
            faults.append(header)
            continue
        count += 1
        if as_json:
            print(to_json({"path": str(path), **json.loads(header.canonical())}))
            continue
        when = datetime.fromtimestamp(header.time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(
            str(header.boot),
            str(header.seq),
            header.camera,
            when if header.clock_synced else f"{when} ?",
            f"{header.score:.3f}",
            header.reason,
            " ".join(header.flags),
            f"{sum(part.length for part in header.parts) / 1000:.0f}",
            path.stem.rpartition("-")[2][:12],
        )
    if count and not as_json:
        table_console(160).print(table)
        say("? = the device did not know whether its clock was right")
    say(f"{count} records in {folder}; next: edgeseg log show {shell_word(folder)} DIGEST")
    _print_faults(faults)


@app.command()
def show(
    folder: Folder,
    record: Annotated[
        str,
        typer.Argument(
            help="Any part of the record's file name that no other has, say its digest."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="The picture to write; RECORD-overlay.png here if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print one record's header and write its frame with the predicted mask over it."""
    from edgeseg.cli.shared.console import say
    from edgeseg.output_paths import Output, check_outputs
    from edgeseg.runtime.framelog.reader import find_record
    from edgeseg.runtime.framelog.record_export import write_record_overlay
    from edgeseg.runtime.framelog.record_format import read_record

    path = find_record(folder, record)
    picture = output or Path(f"{path.stem}-overlay.png")
    check_outputs([Output(picture, "--output", is_folder=False)], [path, folder])
    content = read_record(path)
    write_record_overlay(content, _palette(), picture)
    facts = {
        "path": str(path),
        "id": content.id,
        **json.loads(content.header.canonical()),
        "overlay": str(picture),
    }
    if as_json:
        print(to_json(facts))
    else:
        for key, value in facts.items():
            print(f"{key}: {to_json(value)}")
        say(
            f"wrote {picture}; all of them as plain files: edgeseg log export "
            f"{shell_word(folder)} --output OUT"
        )


@app.command()
def export(
    output: Annotated[
        Path,
        typer.Option(
            help="Folder for images/, masks/, entropy/ and records/, or for the label tool."
        ),
    ],
    directory: Newest = None,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="masks|labelme|coco|cvat|label-studio|yolo",
            help="Plain files, or what a label tool opens (in a site), to be corrected there.",
        ),
    ] = "masks",
    as_json: Json = False,
) -> None:
    """Write every record as JPEG, mask PNG and JSON, or for a label tool."""
    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.runtime.framelog.record_export import export_records

    folder = directory or _newest_log()
    with progress_bar() as bar:
        if form != "masks":
            from edgeseg.data.label_formats.export_labels import export_log_labels
            from edgeseg.site import Site

            result = export_log_labels(Site.open(), folder, output, form, bar)
        else:
            result = export_records(folder, output, _palette(), bar, keep=_site_root())
    if as_json:
        print(to_json({"output": str(output), "exported": result.good, "bad": result.reasons}))
    images, masks = shell_word(output / "images"), shell_word(output / "masks")
    next_command = (
        f"edgeseg add footage {images}, or correct some masks and edgeseg add labels {images} "
        f"{masks}, which takes those that changed"
    )
    if form != "masks":
        next_command = (
            f"correct some in the label tool, then edgeseg add labels {shell_word(output)} (or "
            "what the tool exports), which takes those that changed"
        )
    if not result.good:
        next_command = f"edgeseg log ls {shell_word(folder)}"
    say(f"exported {result.good} records to {output}; next: {next_command}")
    _print_faults(result.reasons)


@app.command()
def verify(directory: Newest = None, as_json: Json = False) -> None:
    """Check every record against its digests; exit code 1 and the names if anything is bad."""
    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.runtime.framelog.reader import verify_log

    folder = directory or _newest_log()
    with progress_bar() as bar:
        result = verify_log(folder, bar)
    if as_json:
        print(to_json({"good": result.good, "bad": result.reasons}))
    else:
        print(f"{result.good} records are good, {len(result.bad)} files are bad")
    if not result.bad:
        say(f"next: edgeseg log ls {shell_word(folder)}")
    _print_faults(result.reasons)


def _newest_log() -> Path:
    """Return the log of the newest run that wrote one, in the site or else here."""
    from edgeseg.errors import FrameLogError, SiteNotFoundError
    from edgeseg.site import Site

    try:
        root = Site.open().root
    except SiteNotFoundError:
        root = Path.cwd()
    logs = list(root.glob("runs/infer/exp*/log/ready"))
    if not logs:
        raise FrameLogError(
            f"{root} has no run with a frame log; name the log's folder, or make one with "
            "`edgeseg infer --log auto`"
        )
    return max(logs, key=lambda path: path.stat().st_mtime).parent


def _site_root() -> Path | None:
    """Return the folder of the site, None outside of one."""
    from edgeseg.errors import SiteNotFoundError
    from edgeseg.site import Site

    try:
        return Site.open().root
    except SiteNotFoundError:
        return None


def _palette() -> Sequence[tuple[int, int, int]]:
    """Return the classes' colors inside a site, others elsewhere, as on a device."""
    from edgeseg.errors import SiteNotFoundError
    from edgeseg.imaging.palette import distinct_palette
    from edgeseg.site import Site

    try:
        return Site.open().config.palette
    except SiteNotFoundError:
        return distinct_palette()


def _print_faults(faults: list[str]) -> None:
    from edgeseg.cli.shared.console import say

    for fault in faults:
        say(f"bad: {fault}")
    if faults:
        raise typer.Exit(1)
