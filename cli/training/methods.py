"""`edgeseg methods`: the list of training methods and plug-ins."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from edgeseg.cli.shared import options
from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from rich.table import Table


def methods(as_json: options.Json = False) -> None:
    """List the training methods and plug-ins: what each does, needs and costs, and which this site
    cannot use.
    """
    from edgeseg.cli.shared.console import table_console
    from edgeseg.config.method_catalogue import CATALOGUE, PLUGINS

    if as_json:
        catalogue = {name: dataclasses.asdict(info) for name, info in CATALOGUE.items()}
        print(to_json({"methods": catalogue, "plugins": PLUGINS}, indent=2))
        return
    console = table_console()
    console.print(_method_table(_number_of_classes()))
    console.print(_plugin_table())
    console.print(
        "forward passes: of a step over B labelled and B unlabelled frames, g with gradient, "
        "n without; memory: of a step, as a multiple of suponly's, roughly; least classes: 2, "
        "fpl_* 3",
        highlight=False,
    )
    console.print("Next: edgeseg train --method cutmix_mt, or edgeseg compare", highlight=False)


def _number_of_classes() -> int:
    """Return how many classes the site here has; 0 outside a site, where nothing is refused."""
    from edgeseg.errors import SiteNotFoundError
    from edgeseg.site import Site

    try:
        return len(Site.open().config.classes)
    except SiteNotFoundError:
        return 0


def _method_table(classes: int) -> Table:
    from rich.table import Table
    from rich.text import Text

    from edgeseg.config import ALIASES
    from edgeseg.config.method_catalogue import CATALOGUE

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
        table.add_row("", Text(heading, style="bold"))
        for name in names:
            info = CATALOGUE[name]
            aliases = [alias for alias, method in ALIASES.items() if method == name]
            does = Text()
            if 0 < classes < info.classes:
                needs = f"needs {info.classes} classes, this site has {classes}"
                does.append(f"not here: {needs}", style="red").append("; ")
            does.append(info.does)
            if aliases:
                does.append(f" (also {', '.join(aliases)})", style="dim")
            table.add_row(name, does, info.cost, f"{info.memory:g}x", info.paper)
    return table


def _plugin_table() -> Table:
    from rich.table import Table

    from edgeseg.config.method_catalogue import PLUGINS

    title = "Plug-ins (--plugin NAME, repeatable) for methods that label online"
    table = Table("plug-in", "what it adds", title=title)
    for name, text in PLUGINS.items():
        table.add_row(name, text)
    return table
