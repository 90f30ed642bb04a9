"""`edgeseg eval`: mIoU of a bundle or a training run on labelled frames."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from edgeseg.cli.shared.bundle_options import Backend, Precision, Threads
from edgeseg.cli.shared.options import Json, Set, merge_overrides

if TYPE_CHECKING:
    from edgeseg.config import ClassSpec, SiteConfig
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
Ignore = Annotated[
    list[int] | None,
    typer.Option(help="Index in the masks that means not labelled, beside 255; repeatable."),
]


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
    ignore: Ignore = None,
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
    with progress_bar() as bar:
        if model is not None and (model / "model.json").is_file():
            _refuse_bundle_options(model, backend or precision or threads)
            evaluation = _evaluate_run(model, images, masks, ignore or [], overrides, bar)
            next_command = "edgeseg export"
        else:
            evaluation = _evaluate_bundle(model, images, masks, ignore or [], overrides, bar)
            next_command = "edgeseg bench"
    _print_result(evaluation, as_json=as_json)
    say(f"{evaluation.name} on {len(evaluation.counts)} frames; next: {next_command}")


def _refuse_bundle_options(run: Path, given: object) -> None:
    from edgeseg.errors import ConfigError

    if given:
        raise ConfigError(
            f"{run} is a training run: --backend, --precision and --threads are for bundles"
        )


def _evaluate_run(
    run: Path,
    images: Path | None,
    masks: Path | None,
    ignore: list[int],
    overrides: list[str],
    bar: ProgressReporter,
) -> Evaluation:
    from edgeseg.cli.shared.bundle_options import find_site, site_configuration
    from edgeseg.models.model_files import read_card

    classes, site = read_card(run).classes, find_site(overrides)
    config = site_configuration(site, classes, overrides)
    pairs, read_mask = _pairs(site, images, masks), _mask_reader(config, classes, ignore)

    from edgeseg.training.model_evaluation import evaluate_run

    bar.start("eval", len(pairs))
    counts = evaluate_run(run, _load(pairs, read_mask, _picture_reader(site), bar))
    return Evaluation(str(run), counts, classes)


def _evaluate_bundle(
    path: Path | None,
    images: Path | None,
    masks: Path | None,
    ignore: list[int],
    overrides: list[str],
    bar: ProgressReporter,
) -> Evaluation:
    from edgeseg.cli.shared.bundle_options import open_bundle
    from edgeseg.runtime.backends.open_runner import open_runner
    from edgeseg.runtime.bundle_evaluation import evaluate_runner

    site, bundle, config = open_bundle(path, overrides)
    classes, infer = bundle.manifest.classes, config.infer
    pairs, read_mask = _pairs(site, images, masks), _mask_reader(config, classes, ignore)
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


def _picture_reader(site: Site | None) -> PictureReader:
    from edgeseg.data.site_depth import load_site_depth
    from edgeseg.imaging.decoding.picture_reader import PictureReader

    depth = load_site_depth(site) if site else None
    return PictureReader(depth.range if depth else None)


def _pairs(site: Site | None, images: Path | None, masks: Path | None) -> list[tuple[Path, Path]]:
    """Return pictures with their masks: those named, or the site's val frames.

    Raises:
        ConfigError: only one was named, or none outside a site.
        DataError: files without partner, or no val frames.
    """
    from edgeseg.data.ingest.image_mask_pairs import pair_files
    from edgeseg.errors import ConfigError, DataError

    if images is not None and masks is not None:
        pairs, faults = pair_files(images, masks)
        if faults:
            raise DataError(
                "; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else "")
            )
        return pairs
    if images is not None or masks is not None or site is None:
        raise ConfigError(
            "give both --images DIR and --masks DIR, or neither inside a site to use its val frames"
        )
    return [
        (site.path(f.image), site.path(f.mask)) for f in site.require("val") if f.mask is not None
    ]


def _mask_reader(
    config: SiteConfig, classes: Sequence[ClassSpec], ignore: list[int]
) -> Callable[[Path], Mask]:
    """Return a reader of masks of every kind that `edgeseg add labels` takes."""
    from edgeseg.data.ingest.mask_files import MaskReader

    return MaskReader(config.model_copy(update={"classes": tuple(classes)}), ignore).read


def _print_result(evaluation: Evaluation, *, as_json: bool) -> None:
    from math import isnan

    from rich.table import Table

    from edgeseg.cli.shared.console import table_console
    from edgeseg.metrics import iou, miou

    name, counts, classes = evaluation
    total = counts.sum(0)
    values = [None if isnan(value) else float(value) for value in iou(total)]
    if as_json:
        by_class = {
            spec.name: None if value is None else round(value, 3)
            for spec, value in zip(classes, values)
        }
        print(
            json.dumps(
                {
                    "model": name,
                    "frames": len(counts),
                    "miou": round(miou(total), 3),
                    "iou": by_class,
                }
            )
        )
        return
    table = Table("class", "IoU", "share of pixels", box=None)
    for spec, value, share in zip(classes, values, total.sum(1) / max(1, total.sum())):
        table.add_row(spec.name, "-" if value is None else f"{value:.1f}", f"{100 * share:.1f} %")
    table.add_row("mean", f"{miou(total):.1f}", "")
    table_console(120, highlight=False).print(table)
