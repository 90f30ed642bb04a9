"""Partitions and training settings of papers: lists as the official repositories have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.protocols.data_sets import (
    CITYSCAPES_CLASSES,
    CITYSCAPES_LABEL_IDS,
    VOC_CLASSES,
    Cityscapes,
    PascalVoc,
)
from benchmarks.protocols.papers import PROTOCOLS, train_settings
from benchmarks.protocols.partition import read_list
from edgeseg.compare.variants import parse_variant
from edgeseg.config import TrainConfig, validate_config
from edgeseg.config.method_catalogue import check_method
from edgeseg.errors import DataError


@pytest.fixture
def voc(tmp_path: Path) -> PascalVoc:
    (tmp_path / "VOCdevkit" / "VOC2012" / "JPEGImages").mkdir(parents=True)
    return PascalVoc(tmp_path)


@pytest.fixture
def cityscapes(tmp_path: Path) -> Cityscapes:
    (tmp_path / "leftImg8bit").mkdir()
    (tmp_path / "gtFine").mkdir()
    return Cityscapes(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "JPEGImages/2007_000733.jpg SegmentationClass/2007_000733.png",  # ST++, UniMatch
        "2007_000733",  # U2PL
        "2007_000733\r",  # TorchSemiSeg's lists of PseudoSeg
    ],
)
def test_lists_of_voc_are_understood(voc: PascalVoc, tmp_path: Path, line: str) -> None:
    path = tmp_path / "labeled.txt"
    path.write_text(f"{line}\n\n2008_000002 \n", newline="")
    assert read_list(voc, path) == ["2007_000733", "2008_000002"]


@pytest.mark.parametrize(
    "line",
    [
        "leftImg8bit/train/jena/jena_000078_000019_leftImg8bit.png "
        "gtFine/train/jena/jena_000078_000019_gtFine_labelTrainIds.png",  # ST++, UniMatch
        "leftImg8bit/train/jena/jena_000078_000019_leftImg8bit.png",  # U2PL
        "/images/train/jena_000078_000019.png\t/segmentation/train/jena_000078_000019_gtFine.png",
        "leftImg8bit/train_extra/jena/jena_000078_000019_leftImg8bit.png None",  # UniMatch V2
    ],
)
def test_lists_of_cityscapes_are_understood(
    cityscapes: Cityscapes, tmp_path: Path, line: str
) -> None:
    path = tmp_path / "labeled.txt"
    path.write_text(f"{line}\n")
    assert read_list(cityscapes, path) == ["jena_000078_000019"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n \n", "names no image"),
        (b"a\nb\na\n", "names a 2 times"),
        (b"\xff\xfe", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_list_that_is_none_is_one_sentence(
    voc: PascalVoc, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_list(voc, path)


def test_the_folder_of_another_data_set_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no folder JPEGImages; give the folder VOC2012"):
        PascalVoc(tmp_path)
    with pytest.raises(DataError, match="has no folder leftImg8bit"):
        Cityscapes(tmp_path)


def test_classes_are_the_published_ones() -> None:
    assert len(VOC_CLASSES) == 21 and dict(VOC_CLASSES)["person"] == "#c08080"
    ids = dict(zip((name for name, _ in CITYSCAPES_CLASSES), CITYSCAPES_LABEL_IDS, strict=True))
    assert len(ids) == 19
    assert (ids["road"], ids["car"], ids["train"], ids["bicycle"]) == (7, 26, 31, 33)


@pytest.mark.parametrize(
    ("data", "paper", "labelled", "steps"),
    [
        ("voc", "unimatch", 92, 104_880),  # 80 epochs of 1311 steps
        ("voc", "unimatch", 1464, 91_120),
        ("voc", "unimatch_v2", 92, 39_300),
        ("voc", "u2pl", 662, 49_600),
        ("voc", "cps", 1323, 39_682),
        ("cityscapes", "unimatch", 186, 83_520),
        ("cityscapes", "unimatch_v2", 1488, 33_300),
        ("cityscapes", "u2pl", 744, 27_800),
        ("cityscapes", "ael", 372, 32_400),
        ("cityscapes", "cps", 372, 44_610),
    ],
)
def test_epochs_become_steps(data: str, paper: str, labelled: int, steps: int) -> None:
    kind = {"voc": PascalVoc, "cityscapes": Cityscapes}[data]
    assert labelled in kind.partitions
    assert PROTOCOLS[data][paper].count_steps(kind.train_images - labelled) == steps


def test_every_published_partition_is_known() -> None:
    assert {92, 183, 366, 732, 1464, 662, 1323, 2646, 5291} <= PascalVoc.partitions.keys()
    assert {186, 372, 744, 1488} <= Cityscapes.partitions.keys()


@pytest.mark.parametrize(
    ("data", "paper"), [(data, paper) for data, papers in PROTOCOLS.items() for paper in papers]
)
def test_every_protocol_is_a_configuration_with_its_floor(data: str, paper: str) -> None:
    protocol = PROTOCOLS[data][paper]
    side = protocol.side(protocol.encoder)
    settings = train_settings(protocol, 9000, (side, side), protocol.encoder, "imagenet")
    config = validate_config(TrainConfig, settings, paper)
    assert abs(side - protocol.crop) <= 16 and config.batch == protocol.batch
    assert config.class_balance == 0 and config.method == protocol.methods[0]
    for method in protocol.methods:
        check_method(method, (), 19)
    floor = parse_variant(protocol.floor(), config)
    assert floor.table(config.model_dump())["ema"] == 0
    assert not config.propagation  # no paper has it
