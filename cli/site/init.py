"""`edgeseg init`: make a folder a site."""

from __future__ import annotations

from collections.abc import Sequence
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
    classes_from: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take the classes, and colors, of labelmap.txt, data.yaml, _classes.csv, a text "
            "file with a name in each line, or an export of a label tool.",
        ),
    ] = None,
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
    from edgeseg.errors import ConfigError

    if classes and classes_from:
        raise ConfigError("--classes and --classes-from both name the classes; give one of them")
    class_names: Sequence[str] = classes.split(",") if classes else DEFAULT_CLASSES
    colors: list[str] = []
    if classes_from:
        class_names, colors = _listed_classes(classes_from)
    values, shape = _fitting_imgsz(like) if like else ({}, "")
    path = create_site(folder, class_names, name or None, values, colors)
    print(path)
    if shape:
        say(shape)
    if classes_from:
        say(f"{len(class_names)} classes: {', '.join(class_names)}")
    elif not classes:
        say(f"now name the classes in {path}")
    say(f"next: cd {shell_word(folder)} && edgeseg add footage PATH")


def _listed_classes(path: Path) -> tuple[list[str], list[str]]:
    """Return names of classes, and their colors where all have one of their own.

    Raises:
        DataError: The file names no classes.
    """
    from edgeseg.data.label_formats.class_files import classes_of

    found = classes_of(path)
    colors = [
        f"#{red:02x}{green:02x}{blue:02x}"
        for red, green, blue in (spec.color for spec in found if spec.color)
    ]
    return [spec.name for spec in found], colors if len(set(colors)) == len(found) else []


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
