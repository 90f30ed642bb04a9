"""A bundle's figures on labelled frames are those of its predictions at the labels' own size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.bundle import Bundle
from edgeseg.bundle.golden_frames import read_golden_frames
from edgeseg.errors import BundleError, DataError
from edgeseg.imaging.mask_png import encode_palette_png
from edgeseg.metrics import iou, miou
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.benchmark import STAGES, benchmark_bundle, timing_statistics
from edgeseg.runtime.bundle_evaluation import evaluate_runner
from tests.helpers.bundles import CLASSES, make_bundle, painted
from tests.helpers.footage import save


def pair(folder: Path, name: str, tiles: NDArray[np.int64], scale: int = 1) -> tuple[Path, Path]:
    """A picture of tiles with its mask, `scale` times as large as the graph's input."""
    image = save(folder / "images" / f"{name}.png", painted(tiles, 64 * scale, 96 * scale))
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
    right = pair(tmp_path, "right", np.array([[0, 1], [2, 3]]), scale)
    wrong = right[0], pair(tmp_path, "wrong", np.array([[1, 1], [2, 3]]), scale)[1]
    with open_runner(bundle_path, "cpu", "fp32") as run:
        counts = evaluate_runner(run, [right, wrong], len(CLASSES))
    assert counts.shape == (2, 4, 4) and counts.sum() == 2 * 64 * 96 * scale**2
    assert miou(counts[0]) > 97
    assert iou(counts[1])[:2] == pytest.approx([0, 50], abs=3)  # all of class 0 is called 1


def test_faulty_pairs_are_named(bundle_path: Path, tmp_path: Path) -> None:
    image, mask = pair(tmp_path, "a", np.array([[0, 1], [2, 3]]))
    small = save(tmp_path / "small.png", painted(np.array([[0]]), 32, 32))
    high = tmp_path / "high.png"
    high.write_bytes(encode_palette_png(np.full((64, 96), 4, np.uint8), []))
    (tmp_path / "text.png").write_text("no picture")
    with open_runner(bundle_path, "cpu", "fp32") as run:
        for bad, what in (
            ((small, mask), "differ in size (32x32 and 96x64)"),
            ((image, high), "high.png holds class 4"),
            ((tmp_path / "text.png", mask), "no picture"),
            ((image, tmp_path / "text.png"), "damaged"),
            ((image, tmp_path / "missing.png"), "missing"),
            ((image, image), "no 8-bit PNG of class ids"),
        ):
            with pytest.raises(DataError) as caught:
                evaluate_runner(run, [bad], len(CLASSES))
            assert what in str(caught.value)


def test_bench_times_every_file_of_the_back_end(bundle_path: Path) -> None:
    bundle = Bundle.open(bundle_path)
    golden = read_golden_frames(bundle)
    assert golden is not None and len(golden.images) == 4 and golden.images[0].shape == (64, 96, 3)
    images = [*golden.images, np.asarray(cv2.resize(golden.images[0], (200, 100)), np.uint8)]
    timings = benchmark_bundle(bundle, images, frames=6, threads=1, golden=golden)
    assert all(
        timing.agreement is not None and 97 < timing.agreement <= 100 for timing in timings.values()
    )
    assert benchmark_bundle(bundle, images, frames=2, threads=1)["fp32"].agreement is None
    assert set(timings) == {"fp32", "int8-cpu"}
    for timing in timings.values():
        assert all(
            len(timing.seconds[stage]) == 6 and min(timing.seconds[stage]) > 0 for stage in STAGES
        )
        parts = np.sum([timing.seconds[stage] for stage in STAGES[:-1]], axis=0)
        assert timing.seconds["total"] == pytest.approx(parts)
    table = timing_statistics(timings["int8-cpu"], timings["fp32"])
    assert table["infer"]["fps"] == pytest.approx(1000 / table["infer"]["median_ms"])
    assert timing_statistics(timings["fp32"], timings["fp32"])["infer"]["ratio"] == 1


def test_read_golden_of_another_size_or_kind_are_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", int8=False, width=128)
    with pytest.raises(BundleError, match="no frames of 128x64"):
        read_golden_frames(bundle)
