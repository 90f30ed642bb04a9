"""Sites of published partitions, from miniatures of VOC 2012 and Cityscapes made here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks import sites
from benchmarks.protocols.command import main
from edgeseg.compare.plan import plan_comparison
from edgeseg.config import TrainConfig, validate_config
from edgeseg.imaging.array_types import Mask
from edgeseg.site import Site
from edgeseg.training.train import train
from tests.helpers.sites import TINY

VOC_TRAIN = [f"2007_00000{number}" for number in range(1, 7)]
VOC_VAL = ["2008_000001", "2008_000002"]
CITY_TRAIN = [f"jena_00000{number}_000019" for number in range(4)] + ["ulm_000001_000019"]
CITY_VAL = ["lindau_000000_000019"]


def picture(seed: int, size: tuple[int, int]) -> np.ndarray:
    """Blobs of color, different from other seeds in every hash."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


def mask_of(seed: int, size: tuple[int, int], ids: tuple[int, ...]) -> Mask:
    """Stripes of the ids, and 255 beside them."""
    mask = np.full(size, 255, np.uint8)
    width = size[1] // (len(ids) + 1)
    for number, value in enumerate(ids):
        start = (number + seed % 2) * width
        mask[:, start : start + width] = value
    return mask


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Masks of SBD without a palette; two images have VOC's own alone, with its palette."""
    root = tmp_path / "VOC2012"
    for folder in (
        "JPEGImages",
        "SegmentationClass",
        "SegmentationClassAug",
        "ImageSets/Segmentation",
    ):
        (root / folder).mkdir(parents=True)
    (root / "ImageSets/Segmentation/val.txt").write_text("\n".join(VOC_VAL) + "\n")
    for seed, name in enumerate([*VOC_TRAIN, *VOC_VAL]):
        size = (48, 64) if seed % 2 else (64, 48)
        cv2.imwrite(str(root / "JPEGImages" / f"{name}.jpg"), picture(seed, size))
        mask = mask_of(seed, size, (0, 15, 20))
        if name in VOC_VAL:
            image = Image.fromarray(mask, "P")
            image.putpalette([value * 37 % 256 for value in range(768)])
            image.save(root / "SegmentationClass" / f"{name}.png")
        else:
            cv2.imwrite(str(root / "SegmentationClassAug" / f"{name}.png"), mask)
    return root


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    root = tmp_path / "cityscapes"
    for seed, name in enumerate([*CITY_TRAIN, *CITY_VAL]):
        folder = Path("val" if name in CITY_VAL else "train") / name.partition("_")[0]
        for kind in ("leftImg8bit", "gtFine"):
            (root / kind / folder).mkdir(parents=True, exist_ok=True)
        image = root / "leftImg8bit" / folder / f"{name}_leftImg8bit.png"
        cv2.imwrite(str(image), picture(seed, (64, 128)))
        start = root / "gtFine" / folder / f"{name}_gtFine"
        cv2.imwrite(f"{start}_labelTrainIds.png", mask_of(seed, (64, 128), (0, 2, 13)))
        cv2.imwrite(f"{start}_labelIds.png", np.full((64, 128), 7, np.uint8))
    return root


def call(data: str, root: Path, labelled: list[str], out: Path, *others: str) -> int:
    path = out.parent / "labeled.txt"
    path.write_text("\n".join(labelled))
    arguments = ["--data", str(root), "--labelled", str(path), "--out", str(out)]
    return main([data, *arguments, "--protocol", "unimatch", *others])


def test_a_partition_of_voc_becomes_a_site_that_can_be_trained(
    voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = cv2.imread(str(voc / "JPEGImages" / f"{VOC_VAL[0]}.jpg"))
    assert again is not None
    twin = voc / "JPEGImages" / f"{VOC_TRAIN[5]}.jpg"  # footage that looks like a val image
    cv2.imwrite(str(twin), again, [cv2.IMWRITE_JPEG_QUALITY, 90])
    out = tmp_path / "site"
    lines = [f"JPEGImages/{name}.jpg SegmentationClass/{name}.png" for name in VOC_TRAIN[:2]]
    assert call("voc", voc, lines, out) == 0
    printed = capsys.readouterr().out
    assert "labelled 2, unlabelled 4, val 2" in printed
    assert "no published partition has 2 labelled images (92, 183," in printed
    assert "train on 10582 images" in printed
    assert "edgeseg compare --methods 'suponly,unimatch'" in printed

    site = Site.open(out)
    assert [len(site.frames(split)) for split in ("labelled", "unlabelled", "val")] == [2, 4, 2]
    assert site.config.data.fit == "letterbox" and site.config.train.imgsz == (320, 320)
    stored = {Path(frame.source).stem: frame for frame in site.frames()}
    for name in VOC_TRAIN:
        original = voc / "JPEGImages" / f"{name}.jpg"
        assert site.path(stored[name].image).read_bytes() == original.read_bytes()
    mask = stored[VOC_VAL[0]].mask
    assert mask is not None
    found = cv2.imread(str(site.path(mask)), cv2.IMREAD_UNCHANGED)
    assert found is not None and np.array_equal(found, mask_of(6, (64, 48), (0, 15, 20)))

    before = (out / "frames.jsonl").stat().st_mtime_ns
    assert call("voc", voc, lines, out) == 0  # the same again: nothing to do
    assert (out / "frames.jsonl").stat().st_mtime_ns == before
    assert call("voc", voc, lines[:1], out) == 1
    assert "made from another partition" in capsys.readouterr().err

    shared = site.config.train.model_dump(mode="json")
    config = validate_config(TrainConfig, shared | TINY | {"steps": 2, "eval_every": 2}, "test")
    plan = plan_comparison(site, config, ["unimatch", "fixmatch"], 1)
    for job in plan.jobs(site.root, tmp_path / "runs")[:2]:
        assert 0 <= train(site, job.config, job.out).metrics["last"]["ema"]["miou"] <= 100


def test_both_kinds_of_masks_of_cityscapes_become_its_19_classes(
    cityscapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"/images/train/{name}.png\t/segmentation/{name}.png" for name in CITY_TRAIN[:2]]
    assert call("cityscapes", cityscapes, lines, tmp_path / "first") == 0
    assert "labelled 2, unlabelled 3, val 1" in capsys.readouterr().out
    site = Site.open(tmp_path / "first")
    assert site.config.train.imgsz == (576, 1152) and site.config.data.fit == "stretch"
    assert {(frame.height, frame.width) for frame in site.frames()} == {(64, 128)}

    for file in cityscapes.glob("gtFine/*/*/*_labelTrainIds.png"):
        ids = np.arange(256, dtype=np.uint8)
        ids[[0, 2, 13, 255]] = 7, 11, 26, 3  # road, building, car, "out of roi"
        mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        cv2.imwrite(str(file).replace("TrainIds", "Ids"), ids[mask])
        file.unlink()
    assert call("cityscapes", cityscapes, lines, tmp_path / "second") == 0
    other = Site.open(tmp_path / "second")
    masks = [
        {frame.id: site.path(frame.mask).read_bytes() for frame in site.frames() if frame.mask}
        for site in (site, other)
    ]
    assert len(masks[0]) == 3 and masks[0] == masks[1]


@pytest.mark.parametrize(
    ("labelled", "others", "message"),
    [
        (["2007_999999"], [], "1 of 9 images are missing, the first is"),
        ([VOC_VAL[0]], [], "1 image(s) are labelled and val as well, 2008_000001 the first"),
        (
            VOC_TRAIN[:1],
            ["--unlabelled", "VOC2012/ImageSets/Segmentation/val.txt"],
            "2 image(s) are unlabelled and val as well",
        ),
        (VOC_TRAIN[:1], ["--val", "none.txt"], "the list none.txt cannot be read"),
        (VOC_TRAIN[:1], ["--out", "."], "is there and no site of a partition"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_leaves_nothing(
    voc: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    labelled: list[str],
    others: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("voc", voc, labelled, tmp_path / "site", *others) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "site").exists() and (voc / "JPEGImages").exists()


def test_masks_that_are_missing_or_of_two_kinds_are_named(
    voc: Path, cityscapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (voc / "SegmentationClassAug" / f"{VOC_TRAIN[0]}.png").unlink()
    assert call("voc", voc, VOC_TRAIN[:1], tmp_path / "site") == 1
    assert "1 of 3 masks are missing" in capsys.readouterr().err
    next(cityscapes.glob("gtFine/train/jena/*0_000019*_labelTrainIds.png")).unlink()
    assert call("cityscapes", cityscapes, CITY_TRAIN[:2], tmp_path / "site") == 1
    assert "has *_labelTrainIds.png for a part of the images only" in capsys.readouterr().err


def test_an_image_that_is_in_both_lists_is_labelled_and_all_may_be(
    voc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = tmp_path / "everything.txt"
    everything.write_text("\n".join(VOC_TRAIN))
    others = ["--unlabelled", str(everything)]
    assert call("voc", voc, VOC_TRAIN[:2], tmp_path / "site", *others) == 0
    printed = capsys.readouterr().out
    assert "2 image(s) of the unlabelled ones, 2007_000001 the first, are labelled" in printed
    assert "labelled 2, unlabelled 4" in printed
    assert call("voc", voc, VOC_TRAIN, tmp_path / "ceiling") == 0
    printed = capsys.readouterr().out
    assert "a site for the ceiling" in printed and "--methods 'suponly'" in printed
    assert Site.open(tmp_path / "ceiling").config.train.steps == 80


def test_a_site_that_was_cut_off_is_built_anew(voc: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    assert call("voc", voc, VOC_TRAIN[:2], out) == 0
    made_of = json.loads((out / "partition.json").read_bytes())
    (out / "partition.json").write_text(json.dumps(made_of | {"whole": False}))
    (out / "frames.jsonl").unlink()
    assert call("voc", voc, VOC_TRAIN[:2], out) == 0
    assert len(Site.open(out).frames()) == 8


@pytest.mark.parametrize(
    ("name", "word"), [("voc", "Flickr's terms of use"), ("cityscapes", "non-commercial")]
)
def test_sites_py_knows_both_and_tells_the_licence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, word: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["sites.py", name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        sites.main()
    shown = capsys.readouterr().out
    assert word in shown and "unimatch_v2" in shown and "--labelled" in shown
