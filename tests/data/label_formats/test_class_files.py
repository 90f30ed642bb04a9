"""`edgeseg init --classes-from`, and the commands around label tools, as a user types them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeseg.cli.app import app
from edgeseg.data.label_formats.add_export import (
    add_export,
    are_images_and_masks,
    export_and_images,
)
from edgeseg.data.label_formats.class_files import classes_of
from edgeseg.data.label_formats.yaml_names import names_of_yaml
from edgeseg.errors import DataError
from edgeseg.site import Site
from tests.data.label_formats.scenes import CLASSES, COLORS
from tests.helpers.footage import new_site

SAMPLES = Path(__file__).parent / "samples"


@pytest.mark.parametrize(
    "source",
    [
        *("camvid/label_colors.txt", "yolo/data.yaml", "yolo-ultralytics/data.yaml"),
        *("roboflow/train/_classes.csv", "cvat-mask.zip", "coco-rle", "coco-panoptic"),
        *("cvat-images-mask", "datumaro-mask", "supervisely", "label-studio/export.json"),
    ],
)
def test_classes_of_lists_and_exports(source: str) -> None:
    found = classes_of(SAMPLES / source)
    names = [spec.name for spec in found]
    assert set(names) == set(CLASSES)
    if found[0].color:
        colors = {spec.name: spec.color for spec in found}
        if "cvat-images" not in source:  # datumaro writes no colors of its own there
            assert colors == dict(zip(CLASSES, COLORS))


def test_lists_of_names(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("__ignore__\n# these\nroad\nred car\n")
    assert [spec.name for spec in classes_of(tmp_path / "labels.txt")] == ["road", "red car"]
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="names no classes"):
        classes_of(tmp_path / "empty.txt")


def test_masks_beside_json_files_are_never_taken_for_images(tmp_path: Path) -> None:
    """`add labels IMAGES MASKS`, where labelme's files lie among the images."""
    for name in ("mmseg/img_dir/train", "mmseg/ann_dir/train", "labelme"):
        shutil.copytree(SAMPLES / name, tmp_path / Path(name).parts[-2 if "/" in name else 0])
    images, masks = tmp_path / "img_dir", tmp_path / "ann_dir"
    assert are_images_and_masks(images, masks)
    assert are_images_and_masks(tmp_path / "labelme", masks)
    assert not are_images_and_masks(images, tmp_path / "labelme")
    assert not are_images_and_masks(SAMPLES / "cvat-mask.zip", images)
    assert not are_images_and_masks(SAMPLES / "coco-rle" / "annotations.json", images)


def test_a_list_beside_both_folders_makes_no_masks_of_png_images(tmp_path: Path) -> None:
    """`add labels IMAGES MASKS` in CamVid's layout, whose images are PNG files too."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    shutil.copytree(SAMPLES / "camvid" / "default", images)
    shutil.copytree(SAMPLES / "camvid" / "defaultannot", masks)
    shutil.copytree(SAMPLES / "camvid" / "defaultannot", tmp_path / "trainannot")
    shutil.copy(SAMPLES / "camvid" / "label_colors.txt", tmp_path)
    assert export_and_images(images, masks) == (masks, images)
    assert export_and_images(tmp_path / "trainannot", images) == (tmp_path / "trainannot", images)
    table = SAMPLES / "coco-rle" / "annotations.json"
    assert export_and_images(table, images) == (table, images)
    site = new_site(tmp_path / "site", CLASSES)
    assert add_export(site, *export_and_images(images, masks)).added == 3


@pytest.mark.parametrize(
    "text",
    [
        "names: [road, 'a, b', \"c # d\"]  # three\nnc: 3",
        "nc: 3\nnames:\n- road\n- 'a, b'\n- \"c # d\"\ntrain: x",
        "names:\n  0: road\n  # between\n  1: 'a, b'  # two\n  2: \"c # d\"\ntrain: x",
        "names: {0: road, 1: 'a, b', 2: \"c # d\"}",
        "names: [\n  road,\n  'a, b',\n  \"c # d\"\n]\ntrain: x",
    ],
)
def test_names_in_yaml(text: str) -> None:
    assert names_of_yaml(text) == {0: "road", 1: "a, b", 2: "c # d"}


@pytest.mark.parametrize("text", ["nc: 3", "names: *anchor", "names:\n  a: b", "names: []"])
def test_yaml_that_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="names"):
        names_of_yaml(text)


def test_the_way_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, result.stderr
        return result.stdout + result.stderr

    shutil.copy(SAMPLES / "cvat-mask.zip", tmp_path)
    assert "3 classes" in run("init", "site", "--classes-from", "cvat-mask.zip")
    monkeypatch.chdir(tmp_path / "site")
    colors = {spec.name: spec.color for spec in Site.open().config.classes}
    assert colors == {"background": "#0a141e", "road": "#c83c78", "car": "#00b45a"}
    assert "labels: 3 new" in run("add", "labels", "../cvat-mask.zip", "--split", "train")
    told = run("labels", "export", "--format", "coco", "--output", "../out")
    assert "exported 3 labelled frames" in told
    images = tmp_path / "out" / "images"
    table = "../out/annotations/instances_default.json"
    for words in ((table, str(images)), (str(images), "../out")):
        assert "3 already there" in run("add", "labels", *words)
