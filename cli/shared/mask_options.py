"""Options of the commands that read masks of people: what ids and colors mean, and what belongs
together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgeseg.data.ingest.masks.mask_rules import MaskRules
    from edgeseg.data.ingest.pair_names import PairNames

Ignore = Annotated[
    list[int] | None,
    typer.Option(help="Mask index that means not labelled, beside 255; repeatable."),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="OLD=NEW",
        help="Label, mask index or color OLD stands for the class NEW (id or name) or means "
        '`ignore`: car=vehicle, 255=1, 7=ignore, "#ffffff=water"; repeatable.',
    ),
]
Rest = Annotated[
    str,
    typer.Option(
        metavar="ignore|CLASS",
        help="What pixels are that lie in no shape of an export: not labelled, or a class.",
    ),
]
FirstId = Annotated[
    int | None,
    typer.Option(help="Id of the first class in the masks: 1 where their ids begin with 1."),
]
Palette = Annotated[
    str,
    typer.Option(
        metavar="auto|index|color",
        help="What counts in palette files: auto takes the colors where they are those of the "
        "classes in another order, else the indices.",
    ),
]
ImageName = Annotated[
    str,
    typer.Option(
        metavar="PATTERN", help="Names of images, {} for what they share with their masks."
    ),
]
MaskName = Annotated[
    str,
    typer.Option(
        metavar="PATTERN", help="Names of masks, {} for what they share with their images: {}_mask."
    ),
]
AnyFolder = Annotated[
    bool,
    typer.Option(
        "--any-folder", help="Pair by file name alone, whatever the folders below the two given."
    ),
]


def mask_rules(
    ignore: list[int] | None, mapping: list[str] | None, first_id: int | None, palette: str
) -> MaskRules:
    """Return the options about ids and colors."""
    from edgeseg.data.ingest.masks.mask_rules import MaskRules

    return MaskRules(ignore=ignore or (), mapping=mapping or (), first_id=first_id, palette=palette)


def pair_names(image: str, mask: str, *, any_folder: bool) -> PairNames:
    """Return the options about names.

    Raises:
        ConfigError: A pattern is none.
    """
    from edgeseg.data.ingest.pair_names import PairNames

    return PairNames(image=image, mask=mask, any_folder=any_folder)
