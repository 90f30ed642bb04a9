"""`edgeseg schema`: the JSON schemas of what `edgeseg infer` writes."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[str | None, typer.Argument(help="Which one; lists them if left out.")]


def schema(name: Name = None) -> None:
    """Print the JSON schema of what `infer` writes: its lines, its figures, records of a frame log,
    the bundle's manifest.
    """
    from edgeseg.json_text import to_json
    from edgeseg.runtime.written_formats import WRITTEN_FORMATS, json_schema

    if name is not None:
        print(to_json(json_schema(name), indent=2))
        return
    width = max(map(len, WRITTEN_FORMATS))
    for each, written in WRITTEN_FORMATS.items():
        print(f"{each:{width}}  {written.title}")
