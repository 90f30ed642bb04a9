"""`edgeseg export --check`: the TensorRT checklist for a bundle that is there."""

from __future__ import annotations

from pathlib import Path

import typer

from edgeseg.json_text import to_json


def check_bundle(bundle: Path | None, overrides: list[str], *, as_json: bool) -> None:
    """Print what each point found; exit code 1 if one did not pass.

    Args:
        bundle: Its folder; the site's current one if None.
        overrides: Overrides of edgeseg.toml, "infer.threads=2".
        as_json: Print JSON on stdout as well.

    Raises:
        ExportError: The bundle holds no INT8 file.
        BundleError: It cannot be used.
    """
    from rich.table import Table

    from edgeseg.cli.shared.bundle_options import open_bundle
    from edgeseg.cli.shared.console import console, say
    from edgeseg.export.tensorrt.checklist import CheckedFiles, run_checklist

    opened = open_bundle(bundle, overrides)[1]
    points = run_checklist(CheckedFiles.of(opened))
    if as_json:
        rows = [
            {"point": point.number, "title": point.title, "findings": point.findings}
            for point in points
        ]
        print(to_json({"bundle": str(opened.path), "points": rows}))
    table = Table(
        "", "point", "result", title="TensorRT 8.5 to 11, as far as it can be told without it"
    )
    for point in points:
        result = (
            "not looked at: the file is not there"
            if point.findings is None
            else "\n".join(point.findings)
        )
        table.add_row(str(point.number), point.title, result or "passed")
    console.print(table)
    failed = [str(point.number) for point in points if not point.passed]
    if failed:
        say(
            f"{opened.path} does not pass point{'s' * (len(failed) > 1)} {', '.join(failed)}; "
            "export it again with `edgeseg export --int8`, or report what is said above",
            style="bold",
        )
        raise typer.Exit(1)
