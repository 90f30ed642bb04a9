"""How often a 95 % interval over few val frames holds the figure of many.

    python benchmarks/few_frames.py --run RUN --data DATA/camvid

Counts the confusions of a run of `benchmarks/sites.py camvid-spread` on every fourth frame of the
data set, then draws 5, 9, 20 and 50 of these frames again and again as val, and asks how often the
interval of `edgeseg.metrics.miou_interval` holds the mIoU of all of them, and the quantiles of the
same bootstrap beside it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from edgeseg.imaging.image_codec import read_image
from edgeseg.imaging.mask_png import read_mask
from edgeseg.metrics import Counts, miou, miou_interval, miou_of_each
from edgeseg.training.model_evaluation import evaluate_run

DRAWS = 300  # of a bootstrap


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=400)
    options = parser.parse_args()
    paths = [
        path
        for part in ("train", "val")
        for path in sorted((options.data / "images" / part).iterdir())
    ][1::4]
    pairs = []
    for path in paths:
        mask = options.data / "labels" / path.parent.name / f"{path.stem}.png"
        image = read_image(path)
        assert image is not None, f"{path} is no image"
        pairs.append((image, read_mask(mask, ignore=(11,))))
    counts = evaluate_run(options.run, pairs)
    print(f"mIoU on all {len(counts)} frames: {miou(counts.sum(0)):.2f}")
    for frames in (5, 9, 20, 50):
        print(f"{frames} val frames: {coverage(counts, frames, options.trials)}")


def coverage(counts: Counts, frames: int, trials: int) -> str:
    """Return how often both intervals hold the figure of all frames, and how wide they are."""
    truth, rng = miou(counts.sum(0)), np.random.default_rng(1)
    held = np.zeros((2, trials), bool)
    widths = np.zeros((2, trials))
    for trial in range(trials):
        val = counts[rng.integers(0, len(counts), frames)]
        ours = miou_interval(val, draws=DRAWS, seed=trial)
        weights = rng.multinomial(frames, np.full(frames, 1 / frames), size=DRAWS)
        drawn = miou_of_each(np.tensordot(weights, val, 1))
        low, high = np.nanquantile(drawn, [0.025, 0.975])
        held[:, trial] = ours.low <= truth <= ours.high, low <= truth <= high
        widths[:, trial] = ours.high - ours.low, high - low
    shares, means = 100 * held.mean(1), widths.mean(1)
    return (
        f"interval holds it in {shares[0]:.0f} % (width {means[0]:.1f}), "
        f"quantiles in {shares[1]:.0f} % (width {means[1]:.1f})"
    )


if __name__ == "__main__":
    main()
