"""Predictions of a frame log that went out to be corrected: what a person changed is a label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.data.ingest.known_predictions import is_same_mask
from edgeseg.data.label_formats.add_export import ExportOptions, add_export
from edgeseg.data.label_formats.export_labels import export_log_labels
from edgeseg.data.label_formats.run_lengths import runs_of_bits
from edgeseg.errors import DataError
from edgeseg.imaging.mask_png import encode_palette_png, read_mask
from edgeseg.imaging.palette import distinct_palette
from edgeseg.runtime.framelog.record_export import export_records
from edgeseg.runtime.framelog.record_format import encode_parts, encode_record
from edgeseg.site import Site
from tests.helpers.footage import new_site, scene
from tests.helpers.frame_logs import record_metadata


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return new_site(tmp_path / "site")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Four records of 64x48 with predictions of three classes."""
    folder = tmp_path / "log" / "ready" / "0"
    folder.mkdir(parents=True)
    for seed in range(4):
        mask = (scene(seed, 48, 64)[..., 0] // 86).astype(np.uint8)
        parts = encode_parts(scene(seed, 48, 64), mask, None, quality=95)
        name, data = encode_record(record_metadata(seq=seed), parts)
        (folder / name).write_bytes(data)
    return tmp_path / "log"


def paint_square(mask_file: Path) -> None:
    mask = read_mask(mask_file).copy()
    mask[10:16, 20:26] = (mask[10:16, 20:26] + 1) % 3
    mask_file.write_bytes(encode_palette_png(mask, distinct_palette(3)))


def test_plain_export_gives_back_what_changed(site: Site, log: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_records(log, out, site.config.palette)  # outside of the site: the export remembers
    nothing = add_labels(site, out / "images", out / "masks")
    assert (nothing.added, nothing.untouched) == (0, 4) and not site.frames()
    changed = sorted((out / "masks").iterdir())[1]
    paint_square(changed)
    result = add_labels(site, out / "images", out / "masks", "train")
    assert (result.added, result.untouched) == (1, 3)
    [frame] = site.frames()
    assert Path(frame.source).stem == changed.stem
    assert np.array_equal(read_mask(site.path(frame.mask or "")), read_mask(changed))


def test_accepted_predictions_are_labels(site: Site, log: Path, tmp_path: Path) -> None:
    export_records(log, tmp_path / "out", site.config.palette)
    result = add_labels(
        site, tmp_path / "out" / "images", tmp_path / "out" / "masks", accept_unchanged=True
    )
    assert (result.added, result.untouched) == (4, 0)


@pytest.mark.parametrize("form", ["labelme", "coco", "cvat", "yolo", "masks"])
def test_label_tools_give_back_what_changed(
    site: Site, log: Path, tmp_path: Path, form: str
) -> None:
    out = tmp_path / "out"
    assert export_log_labels(site, log, out, form).good == 4
    assert add_export(site, out).untouched == 4 and not site.frames()
    first = sorted(path.stem for path in (site.root / "predictions").iterdir())[0]
    square = [(20, 10), (26, 10), (26, 16), (20, 16)]
    half = [(20, 10), (23, 10), (23, 16), (20, 16)]
    if form == "labelme":
        table = json.loads((out / f"{first}.json").read_text())
        table["shapes"].append({"label": "water", "points": square})
        table["shapes"].append(
            {"label": "bank", "points": [(20, 10), (23, 10), (23, 16), (20, 16)]}
        )
        (out / f"{first}.json").write_text(json.dumps(table))
    elif form == "coco":
        table = json.loads((out / "annotations" / "instances_default.json").read_text())
        for name, corners in ((2, square), (3, half)):
            flat = [value for corner in corners for value in corner]
            number = next(e["id"] for e in table["images"] if Path(e["file_name"]).stem == first)
            entry = {"image_id": number, "category_id": name, "segmentation": [flat]}
            table["annotations"].append(entry)
        (out / "annotations" / "instances_default.json").write_text(json.dumps(table))
    elif form == "cvat":
        text = (out / "annotations.xml").read_text()
        at = text.index("</image>", text.index(first))
        shapes = "".join(
            f'<box label="{name}" xtl="20" ytl="10" xbr="{right}" ybr="16" z_order="1"/>'
            for name, right in (("water", 26), ("bank", 23))
        )
        (out / "annotations.xml").write_text(text[:at] + shapes + text[at:])
    elif form == "yolo":
        lines = [
            f"{name} " + " ".join(f"{x / 64} {y / 48}" for x, y in corners)
            for name, corners in ((1, square), (2, half))
        ]
        with (out / "labels" / f"{first}.txt").open("a") as file:
            file.write("\n".join(lines) + "\n")
    else:
        paint_square(out / "masks" / f"{first}.png")
    images = None
    if form == "coco":  # as from a server: the table alone, and the images apart
        images = out / "images"
        out = out / "annotations" / "instances_default.json"
    result = add_export(site, out, images, ExportOptions(split="train"))
    assert (result.added, result.untouched) == (1, 3)


def test_predictions_for_label_studio_are_no_annotations(
    site: Site, log: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export_log_labels(site, log, out, "label-studio")
    with pytest.raises(DataError, match="no image in it has a label"):
        add_export(site, out)
    tasks = json.loads((out / "tasks.json").read_text())
    for task in tasks[:2]:  # two were submitted, one of them corrected
        task["annotations"] = [task["predictions"][0] | {"id": 1}]
    square = {"x": 0, "y": 0, "width": 50, "height": 50, "rectanglelabels": ["sky"]}
    size = {"original_width": 64, "original_height": 48}
    tasks[0]["annotations"][0]["result"] = [
        *tasks[0]["annotations"][0]["result"],
        {"type": "rectanglelabels", "value": square} | size,
    ]
    (out / "tasks.json").write_text(json.dumps(tasks))
    result = add_export(site, out, None, ExportOptions(split="train"))
    assert (result.added, result.untouched) == (1, 1)


def test_borders_drawn_anew_are_no_change() -> None:
    before = np.zeros((100, 100), np.uint8)
    before[20:60, 30:80] = 1
    redrawn, painted = before.copy(), before.copy()
    redrawn[20, 30:38] = 0
    painted[0:2, 0:2] = 1
    assert is_same_mask(before, redrawn, exact=False)
    assert not is_same_mask(before, redrawn, exact=True)
    assert not is_same_mask(before, painted, exact=False)
    redrawn[20:60, 30] = 0  # more than a tool changes
    assert not is_same_mask(before, redrawn, exact=False)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_thin_objects_added_or_taken_away_are_changes(width: int) -> None:
    empty = np.zeros((720, 1280), np.uint8)
    empty[600:] = 2
    pole = empty.copy()
    pole[250:550, 640 : 640 + width] = 1
    moved = np.roll(pole, 1, axis=1)
    shorter = pole.copy()
    shorter[250:260] = 0
    assert not is_same_mask(pole, empty, exact=False)
    assert not is_same_mask(empty, pole, exact=False)
    assert not is_same_mask(pole, shorter, exact=False)
    assert is_same_mask(pole, moved, exact=False)  # drawn anew, a pixel beside


def test_run_lengths_are_compared_pixel_by_pixel(site: Site, tmp_path: Path) -> None:
    """A person who moves a border by a pixel in a bitmap meant it."""
    log = tmp_path / "log" / "ready" / "0"
    log.mkdir(parents=True)
    mask = np.zeros((48, 64), np.uint8)
    mask[20:] = 1
    name, data = encode_record(
        record_metadata(seq=0), encode_parts(scene(0, 48, 64), mask, None, quality=95)
    )
    (log / name).write_bytes(data)
    out = tmp_path / "out"
    export_log_labels(site, tmp_path / "log", out, "coco")
    assert add_export(site, out).untouched == 1
    table = json.loads((out / "annotations" / "instances_default.json").read_text())
    bits = np.zeros((48, 64), bool)
    bits[19, 30:33] = True
    runs = {"size": [48, 64], "counts": runs_of_bits(bits, by_column=True).tolist()}
    number = next(each["id"] for each in table["categories"] if each["name"] == "water")
    image = table["images"][0]["id"]
    table["annotations"].append(
        {"image_id": image, "category_id": number, "segmentation": runs, "area": 3}
    )
    (out / "annotations" / "instances_default.json").write_text(json.dumps(table))
    result = add_export(site, out, None, ExportOptions(split="train"))
    assert (result.added, result.untouched) == (1, 0)


def test_more_classes_than_the_site_has_are_told(log: Path, tmp_path: Path) -> None:
    other = new_site(tmp_path / "other", ("a", "b"))
    with pytest.raises(DataError, match="predicted for 3 classes or more, but the site has 2"):
        export_log_labels(other, log, tmp_path / "out", "coco")


def test_image_files_are_whole(site: Site, log: Path, tmp_path: Path) -> None:
    export_log_labels(site, log, tmp_path / "out", "yolo")
    for path in (tmp_path / "out" / "images").iterdir():
        assert Image.open(path).size == (64, 48)
