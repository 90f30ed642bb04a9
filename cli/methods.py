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

    table = Table("method", "family", "what it does", "needs", "a step costs", "paper")
    for name, info in CATALOGUE.items():
        table.add_row(name, info.family, info.does, info.needs, info.cost, info.paper)
    console = Console()
    console.print(table)
    console.print(
        "B frames a step of either kind, g with gradient, n without. Next: edgeseg train --method u2pl", highlight=False
    )
