"""`edgeseg methods`: what can be trained."""

from __future__ import annotations

from edgeseg.cli import options


def methods(json: options.Json = False) -> None:
    """List the training methods: what each does, needs and costs."""
    import dataclasses
    import json as encoder

    from edgeseg.catalogue import CATALOGUE

    if json:
        print(encoder.dumps({name: dataclasses.asdict(info) for name, info in CATALOGUE.items()}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for name, info in CATALOGUE.items():
        table = Table.grid(padding=(0, 2))
        for what, text in (("does", info.does), ("needs", info.needs), ("costs", info.cost), ("paper", info.paper)):
            table.add_row(f"  [dim]{what}[/dim]", text)
        console.print(f"[bold]{name}[/bold]  {info.family}", highlight=False)
        console.print(table)
    console.print("costs: forward passes a step over B labelled and B unlabelled frames, g with gradient, n without")
    console.print("Next: edgeseg train --method u2pl", highlight=False)
