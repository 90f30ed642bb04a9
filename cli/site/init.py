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
    like: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="A picture, a video or the address of the camera: imgsz gets its shape.",
        ),
    ] = "",
) -> None:
    """Make a folder a site: write a commented edgeseg.toml into it."""
    from edgeseg.cli.shared.console import say
    from edgeseg.cli.shared.terminal_text import shell_word
    from edgeseg.config.template import DEFAULT_CLASSES, create_site

    class_names = classes.split(",") if classes else DEFAULT_CLASSES
    values, shape = _fitting_imgsz(like) if like else ({}, "")
    path = create_site(folder, class_names, name or None, values)
    print(path)
    if shape:
        say(shape)
    if not classes:
        say(f"now name the classes in {path}")
    say(f"next: cd {shell_word(folder)} && edgeseg add footage PATH")


def _fitting_imgsz(like: str) -> tuple[dict[str, tuple[int, int]], str]:
    """Return the settings that fit a source, and a sentence about them.

    Raises:
        SourceError: It gives no frame.
    """
    from edgeseg.config import DistillConfig, TrainConfig
    from edgeseg.data.frame_shapes import first_frame_size, fitting_size

    frame = first_frame_size(like)
    train, distill = (
        fitting_size(frame, config().imgsz) for config in (TrainConfig, DistillConfig)
    )
    return (
        {"train.imgsz": train, "distill.imgsz": distill},
        f"imgsz is {train[0]}x{train[1]} (height x width), for frames of {frame[0]}x{frame[1]}",
    )
