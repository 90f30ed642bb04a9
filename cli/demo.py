"""`edgeseg demo`: the whole job on a synthetic site."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.shared import options
from edgeseg.json_text import to_json

Folder = Annotated[
    Path, typer.Argument(help="Folder of the site; a demo that was stopped goes on there.")
]
Quick = Annotated[
    bool, typer.Option("--quick", help="Tiny and meaningless: only to see that all parts work.")
]


def demo(
    folder: Folder = Path("edgeseg-demo"), quick: Quick = False, as_json: options.Json = False
) -> None:
    """Train, distil, export, run, drift and adapt on a rendered river site; minutes on a CPU, ends
    with a report.
    """
    from rich.table import Table

    from edgeseg.cli.shared.console import console, progress_bar, say
    from edgeseg.cli.shared.terminal_text import shell_word
    from edgeseg.demo.demo_runner import run_demo
    from edgeseg.demo.html_page import result_table

    with progress_bar() as bar:
        result = run_demo(folder, quick=quick, report=bar)
    if as_json:
        print(to_json(asdict(result), default=str))
    head, rows = result_table(result)
    table = Table(*head, title="mIoU on rendered test frames")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    say(f"The round was {result.verdict}: {result.reason}")
    say(
        f"infer ran at {result.infer_fps:.0f} FPS with the frame log on and sent "
        f"{result.logged} frames home; all took {sum(result.seconds.values()) / 60:.1f} minutes"
    )
    say(f"Report saved to {result.report}")
    say(f"Next: open the report, then `cd {shell_word(folder)}` and try `edgeseg status`")
