"""Palettes of every order and kind: by color, by index, or refused, but never wrong pixels."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgeseg.config import ClassSpec, SiteConfig
from edgeseg.data.ingest.masks.mask_palette import UNKNOWN, palette_meaning
from edgeseg.data.ingest.masks.mask_reader import MaskReader
from edgeseg.errors import DataError

CLASSES = 4
HUES = ("#000000", "#ffffff", "#4d4d4d", "#e69f00", "#56b4e9", "#010101")


@st.composite
def color_masks(draw: st.DrawFn) -> tuple[SiteConfig, np.ndarray, Image.Image]:
    """A site, class ids, and a palette file of their colors whose indices are any."""
    colors = draw(st.permutations(HUES))[:CLASSES]
    classes = tuple(ClassSpec(name=color, color=color) for color in colors)
    config = SiteConfig(classes=classes)
    shown = draw(st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=12))
    bits = draw(st.sampled_from([2, 4, 8]))
    indices = draw(
        st.lists(st.integers(0, (1 << bits) - 1), min_size=CLASSES, max_size=CLASSES, unique=True)
    )
    ids = np.array(shown, np.uint8)[None]
    table = np.zeros((1 << bits, 3), np.uint8)
    fill = draw(st.sampled_from(["black", "ramp", "class"]))
    if fill == "ramp":
        table[:] = np.arange(1 << bits)[:, None]
    elif fill == "class":
        table[:] = config.palette[draw(st.integers(0, CLASSES - 1))]
    table[indices] = config.palette
    picture = Image.fromarray(np.array(indices, np.uint8)[ids]).copy()
    picture.putpalette(table.ravel().tolist())
    picture.info["bits"] = bits
    return config, ids, picture


@settings(max_examples=80, deadline=None)
@given(color_masks())
def test_colors_in_any_order_come_back_as_classes_or_are_refused(
    case: tuple[SiteConfig, np.ndarray, Image.Image],
) -> None:
    config, ids, picture = case
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.png"
        picture.save(path, bits=picture.info["bits"])
        try:
            mask = MaskReader(config).read(path)
        except DataError as error:
            assert str(error).startswith(f"{path}: ")
            return
    assert (mask == ids).all()


def meaning(used: list[int], by_color: dict[int, int], *, is_ramp: bool = False) -> str:
    class_of_index = np.full(256, UNKNOWN)
    class_of_index[list(by_color)] = list(by_color.values())
    return palette_meaning(np.array(used), class_of_index, 3, is_ramp=is_ramp).kind


def test_the_table_of_the_module() -> None:
    assert meaning([0, 2], {0: 0, 2: 2}) == "agree"
    assert meaning([0, 1], {0: 2, 1: 0}) == "color"
    assert meaning([0, 1], {}) == "index"
    assert meaning([0, 1], {0: 2}) == "unclear"
    assert meaning([0, 1], {0: 2}, is_ramp=True) == "index"
    in_order = {0: 0, 1: 1, 2: 2}
    assert meaning([0, 1, 3], in_order) == "order", "3 is an unknown id"
    assert meaning([0, 1, 3], in_order | {3: 0}) == "unclear", "3 may be class 0 by its color"
    assert meaning([0, 255], {0: 0, 255: 2}) == "unclear"
    assert meaning([0, 255], {0: 0, 1: 1, 2: 2, 255: 2}) == "order"
    assert meaning([0, 255], {0: 1, 255: 2}) == "color"
    assert meaning([7, 0, 255], {0: 0, 7: 1}) == "color"
    assert meaning([255], {}) == "agree"


def test_only_some_quantized_masks_are_mixed_kinds_alone() -> None:
    """A palette that shows class 0 alone at index 0 is right either way."""
    assert meaning([0], {0: 0}) == "agree"
    assert meaning([0], {0: 1}) == "color"
