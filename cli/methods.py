"""`edgeseg methods`: what can be trained."""

from __future__ import annotations

from edgeseg.cli.shared import options


def methods(json: options.Json = False) -> None:
    """List the training methods and plug-ins: what each does, needs and costs, and which this site
    cannot use.
    """
    import dataclasses
    import json as encoder

    from edgeseg.config import ALIASES
    from edgeseg.config.method_catalogue import CATALOGUE, PLUGINS
    from edgeseg.errors import ConfigError
    from edgeseg.site import Site

    if json:
        found = {name: dataclasses.asdict(info) for name, info in CATALOGUE.items()}
        print(encoder.dumps({"methods": found, "plugins": PLUGINS}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    try:
        classes = len(Site.open().config.classes)
    except ConfigError:
        classes = 0  # outside a site nothing is refused
    console = Console()
    table = Table(title="Methods")
    table.add_column("method", no_wrap=True)
    table.add_column("what it does", ratio=1)
    table.add_column("forward passes", max_width=16)
    table.add_column("memory")
    table.add_column("paper", max_width=24)
    groups: dict[str, list[str]] = {}
    for name, info in sorted(CATALOGUE.items(), key=lambda item: item[1].baseline):
        groups.setdefault(f"{info.family}{', baselines' if info.baseline else ''}", []).append(name)
    for heading, names in groups.items():
        table.add_section()
        table.add_row("", f"[bold]{heading}[/bold]")
        for name in names:
            info = CATALOGUE[name]
            known = [alias for alias, meant in ALIASES.items() if meant == name]
            does = f"{info.does} [dim](also {', '.join(known)})[/dim]" if known else info.does
            if 0 < classes < info.classes:
                does = (
                    f"[red]not here: needs {info.classes} classes, this site has "
                    f"{classes}[/red]; {does}"
                )
            table.add_row(name, does, info.cost, f"{info.memory:g}x", info.paper)
    console.print(table)
    more = Table(
        "plug-in",
        "what it adds",
        title="Plug-ins (--plugin NAME, repeatable) for methods that label online",
    )
    for name, text in PLUGINS.items():
        more.add_row(name, text)
    console.print(more)
    console.print(
        "forward passes: of a step over B labelled and B unlabelled frames, g with gradient, n without; "
        "memory: of a step, as a multiple of suponly's, roughly; least classes: 2, fpl_* 3",
        highlight=False,
    )
    console.print("Next: edgeseg train --method cutmix_mt, or edgeseg compare", highlight=False)
