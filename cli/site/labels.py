"""`edgeseg labels`: masks of the site on their way to a label tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.shared.terminal_text import shell_word

app = typer.Typer(no_args_is_help=True, help="Take the site's labels to a label tool.")
FORMATS = "labelme|coco|cvat|label-studio|yolo|masks"
SPLITS = {"train": "labelled", "val": "val", "gate": "gate"}


@app.command()
def export(
    output: Annotated[Path, typer.Option(help="A new folder for images and labels.")],
    form: Annotated[
        str, typer.Option("--format", metavar=FORMATS, help="The tool they are for.")
    ] = "masks",
    split: Annotated[
        str, typer.Option(metavar="all|train|val|gate", help="The labelled frames to write.")
    ] = "all",
) -> None:
    """Write labelled frames and their masks in the format of a label tool."""
    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.data.label_formats.export_labels import export_labels
    from edgeseg.errors import ConfigError
    from edgeseg.site import Site

    if split != "all" and split not in SPLITS:
        raise ConfigError(f"--split {split!r} is unknown; give all, train, val or gate")
    site = Site.open()
    wanted = SPLITS.values() if split == "all" else [SPLITS[split]]
    with progress_bar() as bar:
        frames = [frame for frame in site.frames() if frame.split in wanted]
        count = export_labels(site, output, form, frames, bar)
    print(output)
    say(
        f"exported {count} labelled frames for {form}; next: correct them, then edgeseg add labels "
        f"{shell_word(output)}"
    )
