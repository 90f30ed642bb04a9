"""Figures of a bundle are those of its predictions at the labels' own size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.errors import DataError
from edgeseg.imaging.mask_png import encode_palette_png
from edgeseg.metrics import iou, miou
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.bundle_evaluation import evaluate_runner
from tests.helpers.bundles import CLASSES, painted
from tests.helpers.footage import save_image


def save_labelled_frame(
    folder: Path, name: str, tiles: NDArray[np.int64], scale: int = 1
) -> tuple[Path, Path]:
    """A picture of tiles with its mask, `scale` times as large as the graph's input."""
    image = save_image(folder / "images" / f"{name}.png", painted(tiles, 64 * scale, 96 * scale))
    rows, columns = 64 * scale // tiles.shape[0], 96 * scale // tiles.shape[1]
    mask = folder / "masks" / f"{name}.png"
    mask.parent.mkdir(exist_ok=True)
    truth = tiles.astype(np.uint8).repeat(rows, 0).repeat(columns, 1)
    mask.write_bytes(encode_palette_png(truth, [spec.rgb for spec in CLASSES]))
    return image, mask


@pytest.mark.parametrize("scale", [1, 3])
def test_figures_are_those_of_the_pixels_at_the_labels_size(
    bundle_path: Path, tmp_path: Path, scale: int
) -> None:
    right = save_labelled_frame(tmp_path, "right", np.array([[0, 1], [2, 3]]), scale)
    wrong = right[0], save_labelled_frame(tmp_path, "wrong", np.array([[1, 1], [2, 3]]), scale)[1]
    with open_runner(bundle_path, "cpu", "fp32") as runner:
        counts = evaluate_runner(runner, [right, wrong], len(CLASSES))
    assert counts.shape == (2, 4, 4) and counts.sum() == 2 * 64 * 96 * scale**2
    assert miou(counts[0]) > 97
    assert iou(counts[1])[:2] == pytest.approx([0, 50], abs=3)  # all of class 0 is called 1


def test_faulty_pairs_are_named(bundle_path: Path, tmp_path: Path) -> None:
    image, mask = save_labelled_frame(tmp_path, "a", np.array([[0, 1], [2, 3]]))
    small = save_image(tmp_path / "small.png", painted(np.array([[0]]), 32, 32))
    high = tmp_path / "high.png"
    high.write_bytes(encode_palette_png(np.full((64, 96), 4, np.uint8), []))
    (tmp_path / "text.png").write_text("no picture")
    with open_runner(bundle_path, "cpu", "fp32") as runner:
        for bad, what in (
            ((small, mask), "differ in size (32x32 and 96x64)"),
            ((image, high), "high.png holds class 4"),
            ((tmp_path / "text.png", mask), "text.png: is damaged or no JPEG, PNG"),
            ((image, tmp_path / "text.png"), "damaged"),
            ((image, tmp_path / "missing.png"), "missing"),
            ((image, image), "no 8-bit PNG of class ids"),
        ):
            with pytest.raises(DataError) as caught:
                evaluate_runner(runner, [bad], len(CLASSES))
            assert what in str(caught.value)
