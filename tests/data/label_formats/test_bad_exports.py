"""Exports that are damaged, hostile or not what they seem: one sentence, and nothing is added."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgeseg.data.label_formats import canvas as canvas_module
from edgeseg.data.label_formats import export_files, zip_files
from edgeseg.data.label_formats.add_export import ExportOptions, add_export
from edgeseg.data.label_formats.canvas import Canvas, checked_size, fill_rings, ring_of
from edgeseg.data.label_formats.class_names import ClassNames
from edgeseg.data.label_formats.run_lengths import bits_of_runs, coco_runs, runs_of_numbers
from edgeseg.errors import ConfigError, DataError, EdgesegError
from edgeseg.imaging.array_types import IGNORE
from edgeseg.imaging.mask_png import read_mask
from edgeseg.site import Site
from tests.data.label_formats.scenes import CLASSES, picture
from tests.helpers.footage import file_contents, new_site, save_image

SAMPLES = Path(__file__).parent / "samples"


def zipped(path: Path, members: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, data)
    return path


def labelme_file(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_image(folder / "a.png", picture(0))
    shape = {"label": "car", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"}
    table = {"shapes": [shape | changes], "imagePath": "a.png", "imageHeight": 48, "imageWidth": 64}
    (folder / "a.json").write_text(json.dumps(table))
    return folder


@pytest.mark.parametrize(
    ("names", "mode", "words"),
    [
        (["../a.json"], 0, "leads out"),
        (["/etc/a.json"], 0, "leads out"),
        (["x/../../a.json"], 0, "leads out"),
        (["..\\a.json"], 0, "leads out"),
        (["a\x1b[31m.json"], 0, "cannot be printed"),
        (["x" * 300], 0, "disks do not take"),
        (["a.json", "A.json"], 0, "twice"),
        (["a.json"], stat.S_IFLNK | 0o777, "link"),
    ],
)
def test_archives_that_reach_beyond_their_folder(
    site: Site, tmp_path: Path, names: list[str], mode: int, words: str
) -> None:
    path = zipped(tmp_path / "a.zip", dict.fromkeys(names, b"{}"), mode)
    before = file_contents(tmp_path)
    with pytest.raises(DataError, match=words):
        add_export(site, path)
    after = {name: data for name, data in file_contents(tmp_path).items() if "cache" not in name}
    assert after == before


def test_bombs_are_not_unpacked(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "a.zip", {"a.json": bytes(3_000_000)})
    monkeypatch.setattr(zip_files, "FREE_GROWTH", 1_000_000)
    with pytest.raises(DataError, match="only a zip bomb"):
        add_export(site, path)
    assert not list((site.root / "cache").rglob("a.json"))


def test_damaged_archives(site: Site, tmp_path: Path) -> None:
    data = bytearray((SAMPLES / "cvat-mask.zip").read_bytes())
    data[60:200] = bytes(140)
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match="damaged or unusual zip"):
        add_export(site, tmp_path / "a.zip")


def test_archives_leave_nothing_behind(site: Site) -> None:
    result = add_export(site, SAMPLES / "cvat-mask.zip", None, ExportOptions(split="train"))
    assert result.added == 3
    assert not any((site.root / "cache" / "label-export").rglob("*.png"))
    assert all("cvat-mask.zip/JPEGImages/scene" in frame.source for frame in site.frames())


def test_names_are_told_all_at_once_and_mapped(site: Site, tmp_path: Path) -> None:
    folder = labelme_file(tmp_path / "a", label="Vehicle")
    with pytest.raises(DataError, match=r"no class of the site: 'Vehicle'; .*--map Vehicle=ignore"):
        add_export(site, folder)
    with pytest.raises(DataError, match="--map names 'truck', which no label"):
        add_export(site, folder, None, ExportOptions(mapping=["Vehicle=car", "truck=car"]))
    with pytest.raises(ConfigError, match="names no class of the site"):
        add_export(site, folder, None, ExportOptions(mapping=["Vehicle=boat"]))
    assert not site.frames()
    assert add_export(site, folder, None, ExportOptions(mapping=["Vehicle=car"])).added == 1


def test_names_differ_by_case_and_dashes() -> None:
    names = ClassNames(["Road surface", "car"], ["*=ignore"])
    assert [names.id_of(name) for name in ("road_surface", "CAR", "__ignore__", "boat")] == [
        *(0, 1, IGNORE, IGNORE)
    ]
    rest = ClassNames(["other", "car"], ["bus=1"], rest="other")
    assert (rest.rest, rest.id_of("_background_"), rest.id_of("bus")) == (0, 0, 1)
    twins = ClassNames(["a b", "a_b"])
    assert (twins.id_of("a b"), twins.id_of("a_b"), twins.id_of("A-B")) == (0, 1, IGNORE)


def test_the_rest_is_what_the_user_says(tmp_path: Path) -> None:
    folder = labelme_file(tmp_path / "a")
    for rest, value in (("ignore", IGNORE), ("background", 0)):
        site = new_site(tmp_path / rest, CLASSES)
        result = add_export(site, folder, None, ExportOptions(split="train", rest=rest))
        mask = read_mask(site.path(site.frames()[0].mask or ""))
        assert mask[40, 40] == value and mask[2, 8] == 2
        assert any("of the pixels lie in no shape" in note for note in result.notes)


def test_images_that_are_nowhere_and_twice(site: Site, tmp_path: Path) -> None:
    folder = labelme_file(tmp_path / "a")
    (folder / "a.png").rename(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png: is labelled in .*name the folder of its images"):
        add_export(site, folder)
    for name in ("x", "y"):
        (folder / name).mkdir()
        shutil.copy(tmp_path / "a.png", folder / name / "a.png")
    with pytest.raises(DataError, match=r"may be .* or "):
        add_export(site, folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"points": [[1, 1], [float("inf"), 2], [3, 3]]}, "far outside"),
        ({"points": [["a", 1], [2, 2], [3, 3]]}, "no numbers"),
        ({"points": [[1, 1, 1], [2, 2, 2]]}, "no pairs"),
        ({"points": None}, "polygon"),
        ({"shape_type": "spline"}, "unknown kind 'spline'"),
        ({"shape_type": "mask", "mask": "!!"}, "a.json"),
        ({"shape_type": "mask"}, "lacks 'mask'"),
    ],
)
def test_shapes_that_are_none(
    site: Site, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        add_export(site, labelme_file(tmp_path / "a", **changes))
    assert not site.frames()


def test_text_has_limits(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "a.xml").write_text(
        '<!DOCTYPE a [<!ENTITY b "x">]><annotations><image name="&b;"/></annotations>'
    )
    with pytest.raises(DataError, match="XML entities"):
        add_export(site, folder)
    (folder / "a.xml").unlink()
    (folder / "a.json").write_text('{"shapes": [], "imagePath": ' + "[" * 200_000)
    with pytest.raises(DataError, match="no JSON"):
        add_export(site, folder)
    monkeypatch.setattr(export_files, "MOST_TEXT_BYTES", 1 << 16)
    with pytest.raises(DataError, match="is larger than"):
        add_export(site, folder)


def test_what_is_no_export_says_what_is(site: Site, tmp_path: Path) -> None:
    (tmp_path / "notes.doc").write_text("hello")
    with pytest.raises(DataError, match=r"no export that edgeseg knows .*COCO.*labelme"):
        add_export(site, tmp_path / "notes.doc")
    with pytest.raises(DataError, match="does not exist"):
        add_export(site, tmp_path / "nowhere")


def test_huge_numbers_are_refused_before_memory_is_taken() -> None:
    for size in ((0, 4), (10**9, 10**9), (None, 4), (1e400, 1)):
        with pytest.raises(ValueError, match=r"image|size"):
            checked_size(*size)
    with pytest.raises(ValueError, match="pixels of runs"):
        bits_of_runs(runs_of_numbers([2**31, 2**31]), (4, 4))
    with pytest.raises(ValueError, match="below zero"):
        runs_of_numbers([-1, 17])
    for text in ("\x10", "oooooooooooo", "0o"):
        with pytest.raises(ValueError, match="run lengths"):
            coco_runs(text)
    zigzag = ring_of([[x, 60_000 * (x % 2)] for x in range(50_000)])
    with pytest.raises(ValueError, match="than anyone draws"):
        fill_rings((60_000, 10), [zigzag])
    canvas = Canvas((2, 2), ClassNames(CLASSES))
    for _ in range(3):
        canvas.polygon("car", [ring_of([[-1e6, -1e6], [1e6, -1e6], [1e6, 1e6], [-1e6, 1e6]])])
    assert (canvas.finish() == 2).all()


def test_bitmaps_count_by_what_is_set_and_by_their_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas_module, "MOST_SHAPE_PIXELS", 1000)
    monkeypatch.setattr(canvas_module, "MOST_BITMAP_PIXELS", 64 * 48 * 20)
    bits = np.zeros((48, 64), bool)
    bits[10:13, 20:25] = True
    canvas = Canvas((48, 64), ClassNames(CLASSES), smallest_last=True)
    for _ in range(20):
        canvas.bits("car", bits)
    assert np.array_equal(canvas.finish() == 2, bits)
    with pytest.raises(ValueError, match="than anyone draws"):
        canvas.bits("car", bits)
    beyond = Canvas((48, 64), ClassNames(CLASSES))
    with pytest.raises(ValueError, match="than anyone draws"):
        for _ in range(21):
            beyond.bits("car", bits, 1000, 1000)


@pytest.mark.parametrize(
    "name",
    ["labelme", "coco-rle", "cvat-images-mask", "label-studio", "supervisely", "datumaro-mask"],
)
def test_random_damage_is_told_or_harmless(tmp_path: Path, name: str) -> None:
    random = np.random.default_rng(5)
    for number in range(6):
        folder = tmp_path / f"{number}"
        shutil.copytree(SAMPLES / name, folder)
        for path in [p for p in folder.rglob("*") if p.suffix in (".json", ".xml")]:
            data = bytearray(path.read_bytes())
            for at in random.integers(0, len(data), 4):
                data[at] = random.integers(32, 127)
            path.write_bytes(data)
        site = new_site(tmp_path / f"site{number}", CLASSES)
        try:
            add_export(site, folder)
        except EdgesegError as error:
            assert str(error) and not site.frames()
