"""`edgeseg labels export` and `edgeseg log export --format`: masks leave in a label tool's format.

What comes back by `edgeseg add labels` is told apart from what went out: labels by the mask that
the site has, predictions by the copy that `known_predictions` keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from edgeseg.data.label_formats.writers.coco_writer import CocoWriter
from edgeseg.data.label_formats.writers.cvat_writer import CvatWriter
from edgeseg.data.label_formats.writers.label_studio_writer import LabelStudioWriter
from edgeseg.data.label_formats.writers.label_writer import LabelWriter, Target, WrittenFrame
from edgeseg.data.label_formats.writers.labelme_writer import LabelmeWriter
from edgeseg.data.label_formats.writers.mask_writer import MaskWriter
from edgeseg.data.label_formats.writers.yolo_writer import YoloWriter
from edgeseg.errors import ConfigError, DataError, FrameLogError
from edgeseg.imaging.array_types import IGNORE
from edgeseg.imaging.mask_png import read_mask
from edgeseg.output_paths import Output, check_outputs
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.framelog.reader import VerifyResult, iter_records
from edgeseg.runtime.framelog.record_export import full_size_mask, keep_prediction
from edgeseg.runtime.framelog.record_format import RECORD_SUFFIX, read_record
from edgeseg.site import Frame, Site

WRITERS: dict[str, Callable[[Target], LabelWriter]] = {
    "labelme": LabelmeWriter,
    "coco": CocoWriter,
    "cvat": CvatWriter,
    "label-studio": LabelStudioWriter,
    "yolo": YoloWriter,
    "masks": MaskWriter,
}


def export_labels(
    site: Site,
    output: Path,
    form: str,
    frames: Iterable[Frame],
    report: ProgressReporter | None = None,
) -> int:
    """Write labelled frames of the site in a label tool's format.

    Args:
        output: A folder that is new or empty.
        form: One of `WRITERS`.
        frames: Those without a mask are passed over.

    Returns:
        How many were written.

    Raises:
        ConfigError: There is no such format.
        DataError: No frame has a mask, a file is damaged, or the folder cannot be written.
    """
    labelled = [frame for frame in frames if frame.mask]
    if not labelled:
        raise DataError(
            "the site has no labelled frames in these splits; add some with `edgeseg add labels`"
        )
    report = report or NullReporter()
    writer = _writer(site, output, form)
    report.start("exporting", len(labelled))
    try:
        for frame in labelled:
            image = site.path(frame.image)
            writer.add(
                WrittenFrame(
                    name=frame.id,
                    suffix=image.suffix,
                    image=image.read_bytes(),
                    mask=read_mask(site.path(frame.mask or "")),
                    is_prediction=False,
                )
            )
            report.advance()
        writer.finish()
    except OSError as error:
        raise DataError(
            f"{error.filename or output}: {error.strerror}; mend it and run this again"
        ) from None
    report.stop()
    return len(labelled)


def export_log_labels(
    site: Site, log: Path, output: Path, form: str, report: ProgressReporter | None = None
) -> VerifyResult:
    """Write the frames of a log and their predicted masks in a label tool's format.

    The predictions are kept in `predictions` of the site and of the export.

    Args:
        log: The frame log.
        output: A folder that is new or empty.
        form: One of `WRITERS`.

    Raises:
        ConfigError: There is no such format.
        DataError: The folder is not empty, or a mask holds a class that the site does not have.
        FrameLogError: `log` is no frame log, or `output` cannot be written.
    """
    report = report or NullReporter()
    paths = list(iter_records(log))
    writer = _writer(site, output, form, [log])
    result = VerifyResult()
    report.start("exporting records", len(paths))
    for path in paths:
        report.advance()
        try:
            record = read_record(path)
            record.check_image()
            mask = full_size_mask(record)
        except FrameLogError as error:
            result.add_bad(path, error)
            continue
        if mask is None:
            continue
        most = int(mask[mask != IGNORE].max(initial=0))
        if most >= len(site.config.classes):
            raise DataError(
                f"{path} was predicted for {most + 1} classes or more, but the site has "
                f"{len(site.config.classes)}; export it in the site that its bundle is from"
            )
        name = record.name.removesuffix(RECORD_SUFFIX)
        try:
            drawn = writer.add(
                WrittenFrame(
                    name=name,
                    suffix=".jpg",
                    image=record.parts["image"],
                    mask=mask,
                    is_prediction=True,
                )
            )
            for folder in (site.root, output):
                keep_prediction(folder, name, drawn)
        except OSError as error:
            raise FrameLogError(f"{output} cannot be written ({error.strerror})") from None
        result.good += 1
    writer.finish()
    report.stop()
    return result


def _writer(site: Site, output: Path, form: str, inputs: Iterable[Path] = ()) -> LabelWriter:
    """Return the writer of a format, for a folder that is new or empty."""
    if form not in WRITERS:
        raise ConfigError(f"--format {form!r} is unknown; give one of {', '.join(WRITERS)}")
    check_outputs([Output(output, "--output", is_folder=True)], list(inputs))
    if output.is_dir() and any(output.iterdir()):
        raise DataError(f"{output} is not empty; name a new folder, so that nothing gets mixed up")
    output.mkdir(parents=True, exist_ok=True)
    classes = site.config.class_names
    return WRITERS[form](Target(folder=output, classes=classes, palette=site.config.palette))
