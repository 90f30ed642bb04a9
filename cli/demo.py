"""`edgeseg demo`: the whole job on a synthetic site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.shared import options


def demo(
    folder: Annotated[
        Path, typer.Argument(help="Where the site is made; run again, the demo goes on there.")
    ] = Path("edgeseg-demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny and meaningless: only to see that all parts work.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Train, distil, export, run, drift and adapt on a rendered river site; minutes on a CPU, ends
    with a report.
    """
    import json as encoder
    from dataclasses import asdict

    from rich.table import Table

    from edgeseg.cli.shared.console import console, report, say
    from edgeseg.demo.demo_runner import run_demo
    from edgeseg.demo.html_page import table_of

    with report() as progress:
        result = run_demo(folder, quick=quick, report=progress)
    if json:
        print(encoder.dumps(asdict(result), default=str))
    head, rows = table_of(result)
    table = Table(*head, title="mIoU on rendered test frames")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    say(f"The round was {result.verdict}: {result.reason}")
    say(
        f"infer ran at {result.infer_fps:.0f} FPS with the frame log on and sent {result.logged} frames home; "
        f"all took {sum(result.seconds.values()) / 60:.1f} minutes"
    )
    say(f"Report saved to {result.report}")
    say(f"Next: open the report, then `cd {folder}` and try `edgeseg status`")
