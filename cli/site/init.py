"""`edgeseg init`: make a folder a site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The folder that becomes the site; made if missing."),
    ],
    classes: Annotated[
        str, typer.Option(help='Class names in the order of their ids: "sky,water,bank".')
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the site; the folder's by default.")] = "",
) -> None:
    """Make a folder a site: write a commented edgeseg.toml into it."""
    from edgeseg.cli.shared.console import say
    from edgeseg.cli.shared.terminal_text import shell_word
    from edgeseg.config.template import DEFAULT_CLASSES, create_site

    class_names = classes.split(",") if classes else DEFAULT_CLASSES
    path = create_site(folder, class_names, name or None)
    print(path)
    if not classes:
        say(f"now name the classes in {path}")
    say(f"next: cd {shell_word(folder)} && edgeseg add footage PATH")
