"""Which image a name of an export stands for: never one that is another's as well."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeseg.cli.app import app
from edgeseg.data.label_formats.add_export import ExportOptions, add_export
from edgeseg.errors import ConfigError, DataError
from edgeseg.imaging.mask_png import read_mask
from edgeseg.site import Site
from tests.data.label_formats.scenes import picture
from tests.helpers.footage import save_image

SAMPLES = Path(__file__).parent / "samples"


def coco_file(folder: Path, names: list[str]) -> Path:
    """One rectangle of another width in each image."""
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number, name in enumerate(names):
        right = 10 + number
        images.append({"id": number, "file_name": name, "height": 48, "width": 64})
        corners = [0, 0, right, 0, right, 9, 0, 9]
        annotations.append({"image_id": number, "category_id": 1, "segmentation": [corners]})
    table = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]}
    (folder / "labels.json").write_text(json.dumps(table))
    return folder / "labels.json"


def test_images_of_another_folder_are_not_taken(site: Site, tmp_path: Path) -> None:
    """Only val's picture is there: train's labels of the same name are none of it."""
    table = coco_file(tmp_path / "a", ["train/0001.jpg", "val/0001.jpg"])
    save_image(tmp_path / "images" / "val" / "0001.jpg", picture(0))
    with pytest.raises(DataError, match=r"train/0001.jpg: .*val/0001.jpg may be its image"):
        add_export(site, table, tmp_path / "images")
    save_image(tmp_path / "images" / "train" / "0001.jpg", picture(1))
    assert add_export(site, table, tmp_path / "images", ExportOptions(split="train")).added == 2
    for frame in site.frames():
        width = 10 if "train" in frame.source else 11
        assert (read_mask(site.path(frame.mask or ""))[0] == 2).sum() == width


def test_flat_folders_serve_names_that_differ(site: Site, tmp_path: Path) -> None:
    table = coco_file(tmp_path / "a", ["train/0001.jpg", "val/0002.jpg"])
    for number in (1, 2):
        save_image(tmp_path / "images" / f"000{number}.png", picture(number))
    assert add_export(site, table, tmp_path / "images").added == 2


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/data/upload/3/20240131-103000.png", "20240131-103000.png"),
        ("/data/upload/3/0a1b2c3d-a%20b.png", "a b.png"),
        ("/data/upload/3/0a1b2c3d-a.png", "0a1b2c3d-a.png"),
        ("/data/local-files/?d=day%2Fa%20b.png", "a b.png"),
    ],
)
def test_names_of_label_studio(site: Site, tmp_path: Path, address: str, file: str) -> None:
    tasks = json.loads((SAMPLES / "label-studio" / "export.json").read_text())[:1]
    tasks[0]["data"]["image"] = address
    (tmp_path / "a.json").write_text(json.dumps(tasks))
    save_image(tmp_path / "images" / file, picture(0))
    save_image(tmp_path / "images" / "103000.png", picture(1))  # what was left of a date
    add_export(site, tmp_path / "a.json", tmp_path / "images")
    assert [Path(frame.source).name for frame in site.frames()] == [file]


@pytest.mark.parametrize("name", ["..", "x" * 300 + ".png", "a\x00.png", "."])
def test_embedded_images_get_names_that_disks_take(site: Site, tmp_path: Path, name: str) -> None:
    save_image(tmp_path / "a.png", picture(0))
    shape = {"label": "car", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}
    data = base64.b64encode((tmp_path / "a.png").read_bytes()).decode()
    table = {"shapes": [shape], "imagePath": name, "imageData": data}
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "b.json").write_text(json.dumps(table))
    assert add_export(site, tmp_path / "b").added == 1


def test_the_rest_of_masks_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks say of every pixel what it is, so a class for the rest would be passed over."""
    shutil.copytree(SAMPLES / "mmseg", tmp_path / "mmseg")
    with pytest.raises(ConfigError, match="--rest road is for exports of shapes"):
        add_export(site, tmp_path / "mmseg", None, ExportOptions(rest="road"))
    monkeypatch.chdir(site.root)
    folders = [str(tmp_path / "mmseg" / name / "train") for name in ("img_dir", "ann_dir")]
    result = CliRunner().invoke(app, ["add", "labels", *folders, "--rest", "road"])
    assert result.exit_code == 1 and "is for exports of shapes" in result.output
    assert not site.frames()
