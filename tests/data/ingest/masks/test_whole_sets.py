"""Sets of masks as people really have them: right, or refused with the option that makes them
right.

Each case writes the same labels in another way. A refused case is added again with the options
that its sentence names, and then its pixels must be right.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from edgeseg.cli.app import app
from edgeseg.config import CONFIG_NAME
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Mask
from edgeseg.site import Site
from tests.helpers.footage import new_site, save_gray_png, save_image, save_palette, scene

FILES = 4
SIZE = (24, 32)
VOID = 255


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def labels(number: int, classes: int = 3, *, void: bool = False) -> Mask:
    """Every class in stripes that differ by file."""
    rows = np.arange(SIZE[0])[:, None] + np.arange(SIZE[1])[None] * (number + 1)
    mask = (rows // 5 % classes).astype(np.uint8)
    if void:
        mask[:2] = VOID
    return mask


def table(site: Site) -> NDArray[np.uint8]:
    """(256, 3) colors of the classes, black for all other ids."""
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(site.config.palette)] = site.config.palette
    return colors


Writer = Callable[[Path, Mask, Site], object]


def gray(path: Path, mask: Mask, site: Site) -> None:
    save_image(path, mask)


def by_ids(*ids: int) -> Writer:
    """Gray with other ids: the first stands for class 0."""

    def write(path: Path, mask: Mask, site: Site) -> None:
        lookup = np.full(256, VOID, np.uint8)
        lookup[: len(ids)] = ids
        save_image(path, lookup[mask])

    return write


def rgb(path: Path, mask: Mask, site: Site) -> None:
    save_image(path, table(site)[mask])


def rgba(path: Path, mask: Mask, site: Site) -> None:
    save_image(path, np.dstack([table(site)[mask], np.full(SIZE, 255, np.uint8)]))


def transparent_background(path: Path, mask: Mask, site: Site) -> None:
    pixels = np.dstack([table(site)[mask], np.full(SIZE, 255, np.uint8)])
    pixels[mask == 0] = 0
    save_image(path, pixels)


def gray_and_alpha(path: Path, mask: Mask, site: Site) -> None:
    Image.merge("LA", [Image.fromarray(mask), Image.new("L", SIZE[::-1], 255)]).save(path)


def black_and_white(path: Path, mask: Mask, site: Site) -> None:
    save_image(path, np.repeat((mask * 255)[..., None], 3, 2))


def one_bit(path: Path, mask: Mask, site: Site) -> None:
    Image.fromarray(mask * 255).convert("1").save(path)


def in_order(path: Path, mask: Mask, site: Site) -> None:
    save_palette(path, mask, table(site))


def with_transparency(path: Path, mask: Mask, site: Site) -> None:
    save_palette(path, mask, table(site), transparency=0)


def two_bits(path: Path, mask: Mask, site: Site) -> None:
    save_palette(path, mask, table(site)[:3], bits=2)


def gray_of_two_bits(path: Path, mask: Mask, site: Site) -> None:
    save_gray_png(path, mask, 2)


def in_another_order(path: Path, mask: Mask, site: Site) -> None:
    order = np.array([2, 0, 1], np.uint8)  # the index of each class
    save_palette(path, order[mask], table(site)[[1, 2, 0]])


def quantized(path: Path, mask: Mask, site: Site) -> None:
    Image.fromarray(table(site)[mask]).quantize(8).save(path)


def optimized(path: Path, mask: Mask, site: Site) -> None:
    """Some files by ids, some in colors, some as an optimizer leaves them."""
    writers = (in_order, rgb, in_another_order, quantized)
    writers[int(path.stem) % len(writers)](path, mask, site)


def one_black_and_white(path: Path, mask: Mask, site: Site) -> None:
    (by_ids(0, 255) if path.stem == "2" else gray)(path, mask, site)


def one_color_twice(path: Path, mask: Mask, site: Site) -> None:
    """The palette has the classes in order, and class 0 once more behind them."""
    ids = mask.copy()
    ids[::2][mask[::2] == 0] = 3
    save_palette(path, ids, table(site)[[0, 1, 2, 0, *range(4, 256)]])


def own_colors(path: Path, mask: Mask, site: Site) -> None:
    """Ids in the colors of a labelling tool, none of them a color of the site."""
    save_palette(path, mask, np.array([(i, 255 - i, 7) for i in range(256)], np.uint8))


def partly_own_colors(path: Path, mask: Mask, site: Site) -> None:
    """Index 0 has the color of class 2, and the other colors are of no class."""
    save_palette(path, mask, np.array([table(site)[2], (1, 2, 3), (4, 5, 6)], np.uint8))


def black_white_palette(path: Path, mask: Mask, site: Site) -> None:
    save_palette(path, mask, np.array([(0, 0, 0), (255, 255, 255)], np.uint8))


def ramp(path: Path, mask: Mask, site: Site) -> None:
    """0 and 255 in a palette of grays, whose index 0 may look like class 0."""
    save_palette(path, mask * 255, np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1))


def one_converted_one_not(path: Path, mask: Mask, site: Site) -> None:
    (own_colors if int(path.stem) % 2 else in_another_order)(path, mask, site)


def blended(path: Path, mask: Mask, site: Site) -> None:
    large = Image.fromarray(table(site)[mask]).resize((64, 48), Image.Resampling.BICUBIC)
    large.resize(SIZE[::-1], Image.Resampling.BICUBIC).save(path)


def blended_gray(path: Path, mask: Mask, site: Site) -> None:
    large = Image.fromarray(mask * 255).resize((67, 49), Image.Resampling.BICUBIC)
    large.resize(SIZE[::-1], Image.Resampling.BICUBIC).save(path)


def was_jpeg(path: Path, mask: Mask, site: Site) -> None:
    Image.fromarray(table(site)[mask]).save(path.with_suffix(".jpg"))
    Image.open(path.with_suffix(".jpg")).save(path)
    path.with_suffix(".jpg").unlink()


def sixteen_bits(path: Path, mask: Mask, site: Site) -> None:
    Image.fromarray(mask.astype(np.uint16)).save(path)


def saved_as(suffix: str) -> Writer:
    def write(path: Path, mask: Mask, site: Site) -> None:
        Image.fromarray(mask).save(path.with_suffix(suffix))

    return write


def named(pattern: str) -> Writer:
    def write(path: Path, mask: Mask, site: Site) -> None:
        save_image(path.with_name(pattern.format(path.stem)), mask)

    return write


def void(path: Path, mask: Mask, site: Site) -> None:
    save_image(path, np.full_like(mask, VOID))


# name: writer, classes, with void pixels, words of the refusal ("" where it is right at once)
CASES: dict[str, tuple[Writer, int, bool, str]] = {
    "gray": (gray, 3, True, ""),
    "gray with alpha": (gray_and_alpha, 3, True, ""),
    "gray of 2 bits": (gray_of_two_bits, 3, False, ""),
    "1 bit": (one_bit, 2, False, ""),
    "rgb": (rgb, 3, False, ""),
    "rgba": (rgba, 3, False, ""),
    "palette in order": (in_order, 3, True, ""),
    "palette with tRNS": (with_transparency, 3, True, ""),
    "palette of 2 bits": (two_bits, 3, False, ""),
    "palette in another order": (in_another_order, 3, False, ""),
    "quantized": (quantized, 3, False, ""),
    "optimized in part": (optimized, 3, False, ""),
    "colors of a tool": (own_colors, 3, True, ""),
    "black and white palette": (black_white_palette, 2, False, ""),
    "some converted": (one_converted_one_not, 3, False, "colors are of no class, while"),
    "palette unclear": (partly_own_colors, 3, False, "of unclear meaning: index 0"),
    "0 and 255": (by_ids(0, 255), 2, False, "add --map 255=1; if it is not labelled indeed"),
    "0 and 255 in one file": (one_black_and_white, 2, False, "other masks hold 0 and 1 alone"),
    "a color twice": (one_color_twice, 3, False, "of unclear meaning: index 3"),
    "0 and 255 by palette": (ramp, 2, False, "add --map 255=1; if it is not labelled indeed"),
    "255 and 0": (by_ids(255, 0), 2, False, "hold 0 and 255 alone"),
    "from 1": (by_ids(1, 2, 3), 3, True, "begin with 1: add --first-id 1"),
    "from 1, two classes": (by_ids(1, 2), 2, False, "begin with 1: add --first-id 1"),
    "0 127 254": (by_ids(0, 127, 254), 3, False, "add --map 127=1 --map 254=2"),
    "0 128 255": (by_ids(0, 128, 255), 3, False, "add --map 128=1 --map 255=2"),
    "0 85 170 255": (by_ids(0, 85, 170, 255), 4, False, "--map 85=1 --map 170=2 --map 255=3"),
    "0 100 200 and void": (by_ids(0, 100, 200), 3, True, "add --map 100=1 --map 200=2"),
    "0 and 100": (by_ids(0, 100), 2, False, "add --map 100=1"),
    "rgb black and white": (black_and_white, 2, False, '--map "#000000=0" --map "#ffffff=1"'),
    "name with suffix": (named("{}_mask.png"), 3, True, "4 would pair with --mask-name '{}_mask'"),
    "name with prefix": (named("mask_{}.png"), 3, True, "--mask-name 'mask_{}'"),
    "two suffixes": (named("{}.jpg.png"), 3, True, "--mask-name '{}.jpg'"),
    "transparent": (transparent_background, 3, False, "is transparent in places"),
    "16 bits": (sixteen_bits, 3, False, "16 bits a pixel"),
    "TIFF": (saved_as(".tif"), 3, False, "is a TIFF; save masks as PNG"),
    "BMP": (saved_as(".bmp"), 3, False, "is a BMP; save masks as PNG"),
    "JPEG": (saved_as(".jpg"), 3, False, "is a JPEG, whose compression changes class ids"),
    "anti-aliased": (blended, 3, False, "come from blended edges"),
    "anti-aliased gray": (blended_gray, 2, False, "shades of gray, perhaps with blended edges"),
    "was a JPEG": (was_jpeg, 3, False, "come from blended edges"),
}
MENDED_BY = {
    "some converted": None,  # no option makes one set of these
    "palette unclear": "--palette index",
    "0 and 255": "--map 255=1",
    "0 and 255 in one file": "--map 255=1",
    "a color twice": "--palette color",
    "0 and 255 by palette": "--map 255=1",
    "255 and 0": "--map 255=0 --map 0=1",
    "from 1": "--first-id 1",
    "from 1, two classes": "--first-id 1",
}
OPTIONS = re.compile(r"""--(?:map|mask-name|image-name)\ (?:"[^"]*"|'[^']*'|\d+=\d+)""", re.VERBOSE)


def cure(name: str, told: str) -> str | None:
    """The options that a refusal names."""
    if name in MENDED_BY:
        return MENDED_BY[name]
    return " ".join(dict.fromkeys(re.findall(OPTIONS, told.partition("not labelled is said")[0])))


@pytest.mark.parametrize("name", CASES)
def test_the_set_is_right_or_its_refusal_names_the_cure(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, classes, has_void, words = CASES[name]
    site = new_site(tmp_path / "site", [f"c{index}" for index in range(classes)])
    if write is ramp:
        text = (site.root / CONFIG_NAME).read_text()
        (site.root / CONFIG_NAME).write_text(text.replace(site.config.classes[0].color, "#000000"))
        site = Site.open(site.root)
    monkeypatch.chdir(site.root)
    truth = {}
    for number in range(FILES):
        save_image(tmp_path / "images" / f"{number}.png", scene(number, *SIZE))
        truth[str(number)] = labels(number, classes, void=has_void)
        (tmp_path / "masks").mkdir(exist_ok=True)
        write(tmp_path / "masks" / f"{number}.png", truth[str(number)], site)
    command = ["add", "labels", str(tmp_path / "images"), str(tmp_path / "masks")]
    result = CliRunner().invoke(app, command)
    if words:
        told = " ".join(result.output.split())
        assert result.exit_code == 1 and words in told and "Traceback" not in told, told
        assert site.frames() == [] and told.count("faults; ") == 1
        options = cure(name, told)
        if not options:
            return
        result = CliRunner().invoke(app, [*command, *shlex.split(options)])
    assert result.exit_code == 0, result.output
    assert len(site.frames()) == FILES
    for frame in site.frames():
        stored = np.asarray(Image.open(site.path(frame.mask or "")))
        assert (stored == truth[Path(frame.source).stem]).all(), f"{name}: wrong pixels"


def test_all_void_masks_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = new_site(tmp_path / "site")
    monkeypatch.chdir(site.root)
    image = save_image(tmp_path / "a.png", scene(0, *SIZE))
    void(tmp_path / "m.png", labels(0), site)
    result = CliRunner().invoke(app, ["add", "labels", str(image), str(tmp_path / "m.png")])
    assert result.exit_code == 0 and "no pixel of these masks is labelled" in result.output


def shuffled(path: Path, mask: Mask, site: Site) -> None:
    """The colors of the classes at random indices among random other colors."""
    random = np.random.default_rng(len(path.parts))
    order = random.permutation(256)[: len(site.config.classes)].astype(np.uint8)
    colors = random.integers(0, 256, (256, 3)).astype(np.uint8)
    colors[order] = site.config.palette
    save_palette(path, order[mask], colors)


def from_1(path: Path, mask: Mask, site: Site) -> None:
    save_image(path, np.where(mask == VOID, VOID, mask + 1).astype(np.uint8))


def spread(path: Path, mask: Mask, site: Site) -> None:
    save_image(path, (mask * (254 // (len(site.config.classes) - 1))).astype(np.uint8))


WITHOUT_VOID = [rgb, rgba, shuffled, quantized, spread]
WITH_VOID = [gray, from_1, in_order, own_colors]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_sets_of_any_kind_are_right_or_refused_or_told(data: st.DataObject) -> None:
    """Whichever classes they show, however they are written."""
    classes = data.draw(st.integers(2, 5))
    shown = data.draw(st.sets(st.integers(0, classes - 1), min_size=1))
    write = data.draw(st.sampled_from([*WITH_VOID, *WITHOUT_VOID]))
    has_void = write in WITH_VOID and data.draw(st.booleans())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        site = new_site(root / "site", [f"c{index}" for index in range(classes)])
        truth = {}
        for number in range(data.draw(st.integers(1, 3))):
            lookup = np.array(sorted(shown), np.uint8)
            mask = lookup[labels(number, len(shown))]
            if has_void:
                mask[:2] = VOID
            truth[str(number)] = mask
            save_image(root / "images" / f"{number}.png", scene(number, *SIZE))
            (root / "masks").mkdir(exist_ok=True)
            write(root / "masks" / f"{number}.png", mask, site)
        try:
            result = add_labels(site, root / "images", root / "masks")
        except DataError as error:
            assert "--map" in str(error) or "--first-id" in str(error)
            assert write in (gray, from_1, own_colors, spread) and site.frames() == []
            return
        is_right = all(
            (
                np.asarray(Image.open(site.path(frame.mask or "")))
                == truth[Path(frame.source).stem]
            ).all()
            for frame in site.frames()
        )
        assert is_right or any("--first-id" in note or "--map" in note for note in result.notes)
