"""`edgeseg eval`: mIoU of a bundle or a training run on labelled frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from edgeseg.cli.shared import mask_options
from edgeseg.cli.shared.bundle_options import Backend, Precision, Threads
from edgeseg.cli.shared.options import Json, Set, merge_overrides
from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.config import ClassSpec, SiteConfig
    from edgeseg.data.ingest.masks.mask_reader import MaskReader
    from edgeseg.data.ingest.masks.mask_rules import MaskRules
    from edgeseg.data.ingest.pair_names import PairNames
    from edgeseg.imaging.array_types import Image, Mask
    from edgeseg.imaging.decoding.picture_reader import PictureReader
    from edgeseg.metrics import Counts
    from edgeseg.progress import ProgressReporter
    from edgeseg.site import Site

Model = Annotated[
    Path | None,
    typer.Argument(
        metavar="[BUNDLE|RUN]",
        help="A bundle or a training run; the site's current bundle if left out.",
    ),
]
Images = Annotated[
    Path | None, typer.Option(help="Folder of pictures; the site's val frames if left out.")
]
Masks = Annotated[Path | None, typer.Option(help="Folder of masks with the same names.")]


MOST_FAULTS = 5  # named in a message


class Truth(NamedTuple):
    """What predictions are compared with.

    Attributes:
        images, masks: The folders; None for the site's val frames.
        rules: What the ids and colors of the masks stand for.
        names: Which picture belongs to which mask.
    """

    images: Path | None
    masks: Path | None
    rules: MaskRules
    names: PairNames


class Evaluation(NamedTuple):
    """The result of an evaluation.

    Attributes:
        name: The model in words.
        counts: (N, C, C) confusion matrices of the frames.
        classes: The classes of the model.
    """

    name: str
    counts: Counts
    classes: Sequence[ClassSpec]


def evaluate(
    model: Model = None,
    images: Images = None,
    masks: Masks = None,
    ignore: mask_options.Ignore = None,
    mapping: mask_options.Map = None,
    first_id: mask_options.FirstId = None,
    palette: mask_options.Palette = "auto",
    image_name: mask_options.ImageName = "{}",
    mask_name: mask_options.MaskName = "{}",
    any_folder: mask_options.AnyFolder = False,
    backend: Backend = None,
    precision: Precision = None,
    threads: Threads = None,
    as_json: Json = False,
    set_: Set = None,
) -> None:
    """Measure mIoU and each class's IoU from one confusion matrix, at the frames' own size."""
    from edgeseg.cli.shared.console import progress_bar, say

    overrides = merge_overrides(
        "infer", set_, backend=backend, precision=precision, threads=threads
    )
    truth = Truth(
        images,
        masks,
        mask_options.mask_rules(ignore, mapping, first_id, palette),
        mask_options.pair_names(image_name, mask_name, any_folder=any_folder),
    )
    with progress_bar() as bar:
        if model is not None and (model / "model.json").is_file():
            _refuse_bundle_options(model, backend or precision or threads)
            evaluation = _evaluate_run(model, truth, overrides, bar)
            next_command = "edgeseg export"
        else:
            evaluation = _evaluate_bundle(model, truth, overrides, bar)
            next_command = "edgeseg bench"
    _require_labelled_pixels(evaluation)
    _print_result(evaluation, as_json=as_json)
    say(f"{evaluation.name} on {len(evaluation.counts)} frames; next: {next_command}")


def _require_labelled_pixels(evaluation: Evaluation) -> None:
    from edgeseg.errors import DataError

    if not evaluation.counts.sum():
        raise DataError(
            f"no pixel of the {len(evaluation.counts)} masks is labelled, so there is nothing to "
            "measure; give other masks, or say with --map OLD=NEW what their ids mean"
        )


def _refuse_bundle_options(run: Path, given: object) -> None:
    from edgeseg.errors import ConfigError

    if given:
        raise ConfigError(
            f"{run} is a training run: --backend, --precision and --threads are for bundles"
        )


def _evaluate_run(
    run: Path, truth: Truth, overrides: list[str], bar: ProgressReporter
) -> Evaluation:
    from edgeseg.cli.shared.bundle_options import find_site, site_configuration
    from edgeseg.models.model_files import read_card

    classes, site = read_card(run).classes, find_site(overrides)
    config = site_configuration(site, classes, overrides)
    pairs, read_mask = _pairs_and_reader(site, config, classes, truth, bar)

    from edgeseg.training.model_evaluation import evaluate_run

    bar.start("eval", len(pairs))
    counts = evaluate_run(run, _load(pairs, read_mask, _picture_reader(site), bar))
    return Evaluation(str(run), counts, classes)


def _evaluate_bundle(
    path: Path | None, truth: Truth, overrides: list[str], bar: ProgressReporter
) -> Evaluation:
    from edgeseg.cli.shared.bundle_options import open_bundle
    from edgeseg.runtime.backends.open_runner import open_runner
    from edgeseg.runtime.bundle_evaluation import evaluate_runner

    site, bundle, config = open_bundle(path, overrides)
    classes, infer = bundle.manifest.classes, config.infer
    pairs, read_mask = _pairs_and_reader(site, config, classes, truth, bar)
    bar.start("eval", len(pairs))
    with open_runner(
        bundle, infer.backend, infer.precision, infer.threads, engine=config.engine, report=bar
    ) as runner:
        counts = evaluate_runner(runner, pairs, len(classes), read_mask=read_mask, report=bar)
        name = f"{bundle.path} ({runner.flavour} on {runner.backend})"
    return Evaluation(name, counts, classes)


def _load(
    pairs: list[tuple[Path, Path]],
    read: Callable[[Path], Mask],
    images: PictureReader,
    bar: ProgressReporter,
) -> Iterator[tuple[Image, Mask]]:
    from edgeseg.runtime.bundle_evaluation import read_labelled_frame

    for image, mask in pairs:
        yield read_labelled_frame(image, mask, read, images)
        bar.advance()
    for note in images.notes():
        bar.say(note)


def _picture_reader(site: Site | None) -> PictureReader:
    from edgeseg.data.site_depth import load_site_depth
    from edgeseg.imaging.decoding.picture_reader import PictureReader

    depth = load_site_depth(site) if site else None
    return PictureReader(depth.range if depth else None)


def _pairs_and_reader(
    site: Site | None,
    config: SiteConfig,
    classes: Sequence[ClassSpec],
    truth: Truth,
    bar: ProgressReporter,
) -> tuple[list[tuple[Path, Path]], Callable[[Path], Mask]]:
    """Return pictures with their masks, those named or the site's val frames, and a mask reader.

    Raises:
        ConfigError: only one folder was named, or none outside a site.
        DataError: files without partner, no val frames, or masks that cannot be taken as they are.
    """
    from edgeseg.cli.shared.console import say
    from edgeseg.data.ingest.image_mask_pairs import pair_files
    from edgeseg.data.ingest.masks.mask_reader import MaskReader
    from edgeseg.errors import ConfigError

    reader = MaskReader(config.model_copy(update={"classes": tuple(classes)}), truth.rules)
    images, masks = truth.images, truth.masks
    if images is not None and masks is not None:
        paired = pair_files(images, masks, truth.names)
        _refuse(paired.faults)
        for note in paired.notes:
            say(f"note: {note}")
        _survey(reader, [mask for _, mask in paired.pairs], bar)
        return paired.pairs, reader.read
    if images is not None or masks is not None or site is None:
        raise ConfigError(
            "give both --images DIR and --masks DIR, or neither inside a site to use its val frames"
        )
    pairs = [
        (site.path(f.image), site.path(f.mask)) for f in site.require("val") if f.mask is not None
    ]
    return pairs, reader.read


def _survey(reader: MaskReader, masks: Sequence[Path], bar: ProgressReporter) -> None:
    """Look at all masks before one of them is believed, as `edgeseg add labels` does.

    Raises:
        DataError: the masks cannot be taken as they are.
    """
    from edgeseg.data.ingest.masks.mask_survey import MaskSurvey
    from edgeseg.errors import DataError

    survey, faults = MaskSurvey(reader.config, reader.rules), []
    bar.start("checking masks", len(masks))
    for path in masks:
        try:
            survey.add(reader.examine(path)[1])
        except DataError as error:
            faults.append(str(error))
        bar.advance()
    bar.stop()
    _refuse(faults + survey.faults())
    for note in survey.notes():
        bar.say(f"note: {note}")


def _refuse(faults: Sequence[str]) -> None:
    from edgeseg.errors import DataError

    if faults:
        more = f"; and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        raise DataError("; ".join(faults[:MOST_FAULTS]) + more)


def _print_result(evaluation: Evaluation, *, as_json: bool) -> None:
    from math import isnan

    from rich.table import Table

    from edgeseg.cli.shared.console import table_console
    from edgeseg.metrics import (
        block_length,
        format_class_iou,
        format_interval,
        iou_of_shown,
        miou,
        miou_interval,
    )

    name, counts, classes = evaluation
    total = counts.sum(0)
    interval = miou_interval(counts, block=block_length(len(counts))).as_json()
    values = [None if isnan(value) else float(value) for value in iou_of_shown(total)]
    if as_json:
        by_class = {
            spec.name: None if value is None else round(value, 3)
            for spec, value in zip(classes, values)
        }
        print(
            to_json(
                {
                    "model": name,
                    "frames": len(counts),
                    "miou": round(miou(total), 3),
                    "interval": interval,
                    "iou": by_class,
                }
            )
        )
        return
    table = Table("class", "IoU", "share of pixels", box=None)
    for spec, value, share in zip(classes, values, total.sum(1) / max(1, total.sum())):
        table.add_row(spec.name, format_class_iou(value, split="the masks"), f"{100 * share:.1f} %")
    table.add_row("mean", f"{miou(total):.1f}", "")
    out = table_console(120, highlight=False)
    out.print(table)
    out.print(f"mIoU {miou(total):.1f} {format_interval({'interval': interval}, '')}".rstrip())
