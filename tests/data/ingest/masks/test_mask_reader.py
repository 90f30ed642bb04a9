"""Mask files in every form that tools write them, and the reasons for refusing one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.data.ingest.masks.mask_reader import MaskReader, read_mask_file
from edgeseg.data.ingest.masks.mask_rules import MaskRules
from edgeseg.errors import ConfigError, DataError
from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.mask_png import encode_palette_png
from edgeseg.imaging.palette import distinct_palette
from edgeseg.site import Site
from tests.helpers.footage import (
    huge_png,
    new_site,
    save_gray_png,
    save_image,
    save_palette,
    save_palette_png,
    scene,
)

MASK = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)


@pytest.fixture
def empty(tmp_path: Path) -> Site:
    return new_site(tmp_path / "site")


def in_colors(mask: Mask, owner: Site, ignored: tuple[int, int, int] = (0, 0, 0)) -> Mask:
    palette = owner.config.palette
    table = np.array([*palette, *[ignored] * (256 - len(palette))], np.uint8)
    return table[mask]


def test_indices_are_read_from_palette_and_gray(empty: Site, tmp_path: Path) -> None:
    paths = [
        save_palette_png(tmp_path / "palette.png", MASK),
        save_image(tmp_path / "grey.png", MASK),
    ]
    assert all((read_mask_file(path, empty.config) == MASK).all() for path in paths)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_indices_of_few_bits_are_not_spread(empty: Site, tmp_path: Path, depth: int) -> None:
    mask = np.minimum(
        np.array([[0, 1, 2, 1, 0], [2, 2, 1, 0, 1]], np.uint8), (1 << depth) - 1
    ).astype(np.uint8)
    assert (
        read_mask_file(save_gray_png(tmp_path / "grey.png", mask, depth), empty.config) == mask
    ).all()
    assert (
        read_mask_file(save_palette_png(tmp_path / "palette.png", mask, depth), empty.config)
        == mask
    ).all()


def test_colors_of_the_classes(empty: Site, tmp_path: Path) -> None:
    config = Site.open(empty.root, ['data.ignore_colors=["#000000", "#010203"]']).config
    painted = in_colors(MASK, empty)
    opaque = np.dstack([painted, np.full(MASK.shape, 255, np.uint8)])
    for name, pixels in (("rgb.png", painted), ("rgba.png", opaque)):
        assert (MaskReader(config).read(save_image(tmp_path / name, pixels)) == MASK).all()


def test_an_index_can_be_ignored(empty: Site, tmp_path: Path) -> None:
    path = save_image(tmp_path / "mask.png", np.array([[0, 11, 1]], np.uint8))
    assert read_mask_file(path, empty.config, MaskRules(ignore=[11])).tolist() == [[0, 255, 1]]
    assert read_mask_file(path, empty.config, MaskRules(ignore=[11, 0])).tolist() == [[255, 255, 1]]


def test_masks_that_cannot_be_used_say_why(empty: Site, tmp_path: Path) -> None:
    painted = in_colors(MASK, empty, ignored=(18, 52, 86))
    clear = np.dstack([painted, np.where(MASK == 0, np.uint8(0), np.uint8(255))])
    deep = tmp_path / "deep.png"
    Image.fromarray(MASK.astype(np.uint16)).save(deep)
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").touch()
    cut = save_image(tmp_path / "cut.png", (scene(0)[..., 0] // 128).astype(np.uint8))
    cut.write_bytes(cut.read_bytes()[:60])
    cases = [
        (
            save_image(tmp_path / "range.png", np.array([[0, 7, 9, 255]], np.uint8)),
            r"class ids 7, 9, but the site has 0 to 2",
        ),
        (save_image(tmp_path / "colour.png", painted), r"#123456 \(1 pixels\)"),
        (save_image(tmp_path / "clear.png", clear), "transparent in places"),
        (save_image(tmp_path / "lossy.jpg", MASK), "is a JPEG"),
        (save_image(tmp_path / "mask.tif", MASK), "is a TIFF; save masks as PNG"),
        (save_image(tmp_path / "mask.bmp", MASK), "is a BMP; save masks as PNG"),
        (save_image(tmp_path / "mask.gif", MASK), "is a GIF; save masks as PNG"),
        (save_image(tmp_path / "mask.webp", MASK), "is a WebP; save masks as PNG"),
        (deep, "has mode I"),
        (tmp_path / "text.png", "no PNG image"),
        (tmp_path / "empty.png", "is empty"),
        (cut, "is damaged"),
        (huge_png(tmp_path / "huge.png"), "more than"),
        (tmp_path / "none.png", "is no file"),
    ]
    for path, words in cases:
        with pytest.raises(DataError, match=words) as caught:
            read_mask_file(path, empty.config)
        assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("colors", ['["black"]', '["#00000"]', '["#00000g"]', '["#4d4d4d"]'])
def test_ignored_colors_are_checked(empty: Site, colors: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.ignore_colors holds"):
        MaskReader(Site.open(empty.root, [f"data.ignore_colors={colors}"]).config)


def test_masks_in_the_colors_of_exported_records(empty: Site, tmp_path: Path) -> None:
    """`edgeseg log export` outside a site has colors of its own, which an editor may reorder."""
    mask = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)
    colors = np.array(distinct_palette()[:3], np.uint8)
    in_order = tmp_path / "order.png"
    in_order.write_bytes(encode_palette_png(mask, distinct_palette()))
    order = np.array([2, 0, 1], np.uint8)  # the index of each class
    reordered = save_palette(tmp_path / "edited.png", order[mask], colors[[1, 2, 0]])
    for path in (in_order, reordered):
        assert (read_mask_file(path, empty.config) == mask).all()


def test_a_mask_is_turned_by_its_own_exif_tag(empty: Site, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn clockwise
    Image.fromarray(MASK).save(tmp_path / "turned.png", exif=turned)
    mask, facts = MaskReader(empty.config).examine(tmp_path / "turned.png")
    assert facts.turned and mask.tolist() == [[2, 0], [255, 1], [0, 2]]
