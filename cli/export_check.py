"""`edgeseg export --check`: the TensorRT checklist for a bundle that is there."""

from __future__ import annotations

from pathlib import Path

import typer


def check_bundle(bundle: Path | None, given: list[str], *, json: bool) -> None:
    """Print what each point found; exit code 1 if one did not pass.

    Args:
        bundle: its folder; the site's current one if None.
        given: overrides of edgeseg.toml.
        json: also print it as JSON on stdout.

    Raises:
        ExportError: the bundle holds no INT8 file.
        BundleError: it cannot be used.
    """
    import json as encoder

    from rich.table import Table
    from rich.text import Text

    from edgeseg.cli.shared.bundle_options import place
    from edgeseg.cli.shared.console import console, say
    from edgeseg.export.tensorrt.checklist import Files, check

    opened = place(bundle, given)[1]
    points = check(Files.of(opened))
    if json:
        rows = [
            {"point": one.number, "title": one.title, "findings": one.findings} for one in points
        ]
        print(encoder.dumps({"bundle": str(opened.path), "points": rows}))
    table = Table(
        "", "point", "result", title="TensorRT 8.5 to 11, as far as it can be told without it"
    )
    for one in points:
        result = (
            "not looked at: the file is not there"
            if one.findings is None
            else "\n".join(one.findings)
        )
        table.add_row(str(one.number), one.title, Text(result or "passed"))
    console.print(table)
    failed = [str(one.number) for one in points if not one.passed]
    if failed:
        say(
            f"{opened.path} does not pass point{'s' * (len(failed) > 1)} {', '.join(failed)}; "
            "export it again with `edgeseg export --int8`, or report what is said above",
            style="bold",
        )
        raise typer.Exit(1)
