"""`edgeseg init --classes-from FILE`: the classes of a list, or of an export."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgeseg.data.label_formats.export_files import ExportFiles
from edgeseg.data.label_formats.label_export import ClassSpec
from edgeseg.data.label_formats.readers.color_masks import LISTS, parse_class_list
from edgeseg.data.label_formats.readers.roboflow import LIST, parse_classes_csv
from edgeseg.data.label_formats.registry import STRUCTURE_FAULTS, read_export, reason_of, recognise
from edgeseg.data.label_formats.yaml_names import names_of_yaml
from edgeseg.data.label_formats.zip_files import open_export
from edgeseg.errors import DataError

NO_CLASSES = ("ignore", "__ignore__", "_ignore_")  # names that mean "not labelled"
TEXTS = (".txt", ".names")


def classes_of(path: Path) -> list[ClassSpec]:
    """Return the classes that a file or an export names, in order, without "not labelled".

    Files are `labelmap.txt`, `label_colors.txt`, `data.yaml`, `_classes.csv`, and text with a name
    in each line; exports are all that `edgeseg add labels` reads.

    Raises:
        DataError: It does not exist, names none, or is of no known kind.
    """
    with (
        tempfile.TemporaryDirectory(prefix="edgeseg-") as scratch,
        open_export(path, Path(scratch)) as files,
    ):
        try:
            found = _listed(files, path) if files.is_one_file else None
        except STRUCTURE_FAULTS as error:
            raise DataError(f"{path}: {reason_of(error)}") from None
        if found is None:
            kind = recognise(files)
            if kind is None:
                raise DataError(
                    f"{path} names no classes that edgeseg can read; give labelmap.txt, "
                    "label_colors.txt, data.yaml, _classes.csv, a text file with a name in each "
                    "line, or an export"
                )
            found = read_export(files, kind).classes
    kept = [spec for spec in found if spec.name.casefold() not in NO_CLASSES]
    if not kept:
        raise DataError(f"{path} names no classes; name them with --classes")
    return kept


def _listed(files: ExportFiles, path: Path) -> list[ClassSpec] | None:
    """Return the classes of a list, None if the file is none."""
    if path.name in LISTS:
        return parse_class_list(files.text(path))
    if path.suffix.lower() in (".yaml", ".yml"):
        return [ClassSpec(name=name) for name in names_of_yaml(files.text(path)).values()]
    if path.name == LIST or path.suffix.lower() == ".csv":
        return [ClassSpec(name=name) for name in parse_classes_csv(files.text(path)).values()]
    if path.suffix.lower() in TEXTS:
        lines = [line.strip() for line in files.text(path).splitlines()]
        return [ClassSpec(name=line) for line in lines if line and not line.startswith("#")]
    return None
