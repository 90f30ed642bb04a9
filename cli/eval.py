"""`edgeseg eval`: mIoU of a bundle or a training run on labelled frames."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared.bundle_options import Backend, Precision, Threads
from edgeseg.cli.shared.options import Json, Set, overrides

if TYPE_CHECKING:
    from edgeseg.bundle import Bundle
    from edgeseg.config import ClassSpec, SiteConfig
    from edgeseg.imaging.array_types import Image, Mask
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
    from edgeseg.cli.shared.bundle_options import place, settings, site_here
    from edgeseg.cli.shared.console import report, say
    from edgeseg.errors import ConfigError

    given = overrides("infer", set_, backend=backend, precision=precision, threads=threads)
    is_run = model is not None and (model / "model.json").is_file()
    if is_run and model is not None:
        from edgeseg.models.model_files import read_card

        if backend or precision or threads:
            raise ConfigError(
                f"{model} is a training run: --backend, --precision and --threads are for bundles"
            )
        classes, site = read_card(model).classes, site_here(given)
        config = settings(site, classes, given)
    else:
        site, bundle, config = place(model, given)
        classes = bundle.manifest.classes
    pairs, read = _pairs(site, images, masks), _reader(config, classes, ignore or [])
    with report() as bar:
        bar.start("eval", len(pairs))
        if is_run and model is not None:
            from edgeseg.training.model_evaluation import evaluate_run

            counts, what = evaluate_run(model, _load(pairs, read, bar)), str(model)
        else:
            counts, what = _bundle(bundle, config, pairs, read, bar)
    _print(what, counts, classes, as_json)
    say(f"{what} on {len(counts)} frames; next: {'edgeseg export' if is_run else 'edgeseg bench'}")


def _bundle(
    bundle: Bundle,
    config: SiteConfig,
    pairs: list[tuple[Path, Path]],
    read: Callable[[Path], Mask],
    bar: ProgressReporter,
) -> tuple[Counts, str]:
    from edgeseg.runtime.backends.open_runner import open_runner
    from edgeseg.runtime.bundle_evaluation import evaluate_runner

    infer = config.infer
    with open_runner(
        bundle, infer.backend, infer.precision, infer.threads, engine=config.engine, report=bar
    ) as runner:
        counts = evaluate_runner(
            runner, pairs, len(bundle.manifest.classes), read_mask=read, report=bar
        )
        return counts, f"{bundle.path} ({runner.flavour} on {runner.backend})"


def _load(
    pairs: list[tuple[Path, Path]], read: Callable[[Path], Mask], bar: ProgressReporter
) -> Iterator[tuple[Image, Mask]]:
    from edgeseg.runtime.bundle_evaluation import read_labelled_frame

    for image, mask in pairs:
        bgr, truth = read_labelled_frame(image, mask, read)
        yield bgr[..., ::-1].copy(), truth
        bar.advance()


def _pairs(site: Site | None, images: Path | None, masks: Path | None) -> list[tuple[Path, Path]]:
    """Pictures with their masks: those named, or the site's val frames.

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


def _reader(
    config: SiteConfig, classes: Sequence[ClassSpec], ignore: list[int]
) -> Callable[[Path], Mask]:
    """Reads masks of every kind where Pillow is installed, else those of class ids."""
    from edgeseg.errors import DependencyError

    try:
        from edgeseg.data.ingest.mask_files import MaskReader
    except DependencyError:
        from edgeseg.imaging.mask_png import read_mask

        return partial(read_mask, ignore=ignore)
    return MaskReader(config.model_copy(update={"classes": tuple(classes)}), ignore).read


def _print(what: str, counts: Counts, classes: Sequence[ClassSpec], as_json: bool) -> None:
    from math import isnan

    from rich.console import Console
    from rich.table import Table

    from edgeseg.metrics import iou, miou

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
                    "model": what,
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
    Console(width=None if sys.stdout.isatty() else 120, highlight=False).print(table)
