"""`edgeseg add`: footage and labels into the site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared import mask_options, options

if TYPE_CHECKING:
    from edgeseg.data.ingest.add_footage import AddFootageResult
    from edgeseg.data.ingest.add_labels import AddLabelsResult

MOST_NAMES = 10  # file names of one kind that are printed
Camera = Annotated[
    str, typer.Option(help="Who took it; frames of different cameras never share a block.")
]
Split = Annotated[
    str, typer.Option(metavar="auto|train|val|gate", help="Auto keeps neighboring frames together.")
]
MasksAsStored = Annotated[
    bool,
    typer.Option(
        "--masks-as-stored",
        help="The masks were drawn on images before their EXIF turn; turn them as well.",
    ),
]
AcceptUnchanged = Annotated[
    bool,
    typer.Option(
        "--accept-unchanged",
        help="Predictions that come back as they went out were looked at: take them as labels.",
    ),
]
app = typer.Typer(no_args_is_help=True, help="Add footage or labels to the site.")


@app.command()
def footage(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Videos, images, folders, or quoted patterns."),
    ],
    camera: Camera = "",
    set_: options.Set = None,
) -> None:
    """Add videos and images as unlabelled frames: sampled by time, without near-duplicates."""
    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.data.ingest.add_footage import add_footage
    from edgeseg.site import Site

    site = Site.open(overrides=set_)
    with progress_bar() as bar:
        result = add_footage(site, paths, camera or None, bar)
    _print_footage(result)
    if result.advice:
        say(f"note: {result.advice}")
    has_labels = bool(site.frames("labelled"))
    say(f"frames are in {site.root / 'frames'}")
    to_label = "edgeseg label, or edgeseg add labels IMAGES MASKS"
    say(f"next: {'edgeseg train' if has_labels else to_label}")


@app.command()
def labels(
    export: Annotated[
        Path,
        typer.Argument(
            metavar="EXPORT|IMAGES",
            help="What a label tool exported (folder, file or zip); or a folder of images, or one.",
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[IMAGES|MASKS]",
            help="The images of the export, if it has none; or the masks, PNG of the same names.",
        ),
    ] = None,
    split: Split = "auto",
    camera: Camera = "",
    ignore: mask_options.Ignore = None,
    mapping: mask_options.Map = None,
    rest: mask_options.Rest = "ignore",
    first_id: mask_options.FirstId = None,
    palette: mask_options.Palette = "auto",
    image_name: mask_options.ImageName = "{}",
    mask_name: mask_options.MaskName = "{}",
    any_folder: mask_options.AnyFolder = False,
    masks_as_stored: MasksAsStored = False,
    accept_unchanged: AcceptUnchanged = False,
    set_: options.Set = None,
) -> None:
    """Add labels: an export of any usual label tool, or images with PNG masks."""
    from edgeseg.cli.shared.console import progress_bar, say
    from edgeseg.data.ingest.add_labels import add_labels
    from edgeseg.data.label_formats.add_export import (
        ExportOptions,
        add_export,
        are_images_and_masks,
        check_no_rest,
        export_and_images,
    )
    from edgeseg.site import Site

    site = Site.open(overrides=set_)
    names = mask_options.pair_names(image_name, mask_name, any_folder=any_folder)
    with progress_bar() as bar:
        if folder is not None and are_images_and_masks(export, folder):
            check_no_rest(rest)
            result = add_labels(
                site,
                export,
                folder,
                split,
                camera=camera or None,
                rules=mask_options.mask_rules(ignore, mapping, first_id, palette),
                names=names,
                masks_as_stored=masks_as_stored,
                accept_unchanged=accept_unchanged,
                report=bar,
            )
        else:
            if folder is not None:
                export, folder = export_and_images(export, folder)
            result = add_export(
                site,
                export,
                folder,
                ExportOptions(
                    split=split,
                    camera=camera or None,
                    mapping=mapping or (),
                    rest=rest,
                    rules=mask_options.mask_rules(ignore, None, first_id, palette),
                    names=names,
                    masks_as_stored=masks_as_stored,
                    accept_unchanged=accept_unchanged,
                ),
                bar,
            )
    _print_labels(result)
    say(f"masks are in {site.root / 'masks'}")
    say("next: edgeseg status")


def _print_footage(result: AddFootageResult) -> None:
    from edgeseg.cli.shared.console import say

    counts = (
        f"kept {result.kept}, near-duplicates {result.duplicates}, already there {result.present}"
    )
    say(f"read {result.read} frames: {counts}")
    if result.restored:
        say(f"restored {result.restored} image files that were gone")
    _print_names("could not be read", result.unreadable)
    _print_names("damaged or cut off, what could be decoded was used", result.partial)
    for note in result.notes:
        say(f"note: {note}")
    _print_names("skipped, neither image nor video", [str(path) for path in result.skipped])
    _print_withheld(result.withheld)


def _print_labels(result: AddLabelsResult) -> None:
    from edgeseg.cli.shared.console import say

    where = (
        ", ".join(f"{count} {split}" for split, count in sorted(result.splits.items())) or "none"
    )
    parts = {
        "new": result.added,
        "labelled footage": result.labelled,
        "changed masks": result.updated,
        "images restored": result.restored,
        "moved from another split": result.moved,
        "already there": result.present,
    }
    counts = ", ".join(f"{count} {what}" for what, count in parts.items() if count)
    say(f"labels: {counts or 'none'}; splits: {where}")
    if result.untouched:
        say(
            f"{result.untouched} predictions came back as they went out and stay predictions; "
            "where someone looked at all of them and found them right, add --accept-unchanged"
        )
    for note in result.notes:
        say(f"note: {note}")
    _print_withheld(result.withheld)


def _print_withheld(count: int) -> None:
    from edgeseg.cli.shared.console import say

    if count:
        say(
            f"{count} unlabelled frames of the site are kept out of training, being too "
            "near val or gate frames"
        )


def _print_names(what: str, names: list[str]) -> None:
    from edgeseg.cli.shared.console import say

    if names:
        say(f"{len(names)} {what}:")
        for name in names[:MOST_NAMES]:
            say(f"  {name}")
        if len(names) > MOST_NAMES:
            say(f"  and {len(names) - MOST_NAMES} more")
