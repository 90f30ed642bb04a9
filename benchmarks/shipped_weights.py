"""Which weights of a training ship: what each rule costs, and how far its figure is from the truth.

    python benchmarks/shipped_weights.py --data DATA/camvid --weights WEIGHTS.safetensors \
        --out FOLDER --method suponly --steps 600 --imgsz 96 128

Trains once on the labelled frames of `benchmarks/sites.py camvid-spread`, keeps the averaged
weights of every sixteenth of the steps, and counts the confusions of each on frames that were not
labelled, of which all have masks in the data set. Then plays val: of one half of these frames, cut
into stretches of five, some are drawn as val (neighbors together), the other half is the truth.
Each rule chooses among the last twelve weights by what val says: of the training as it was, and as
if it had fallen at its end. Finished trainings and counts are kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.sites import make_site, preset
from edgeseg.config import TrainConfig, validate_config
from edgeseg.imaging.image_codec import read_image
from edgeseg.imaging.mask_png import read_mask
from edgeseg.metrics import Counts, miou, miou_of_each, paired_bootstrap
from edgeseg.models import build_network
from edgeseg.models.model_files import load_weights, read_card
from edgeseg.progress import NullReporter
from edgeseg.site import Site
from edgeseg.training.fit import TrainingSpec, fit
from edgeseg.training.model_evaluation import count_confusion
from edgeseg.training.trainer import StepRange

KEPT = 16  # weights of a run, evenly spread
JUDGED = 12  # of them, the last ones, that a rule may choose among
STRETCH = 5  # neighboring frames that are drawn together
Curve = NDArray[np.float64]  # (K,) mIoU on val
Rule = Callable[[Curve, Counts], int]  # from the curve and (K, blocks, C, C) to what ships


def highest(curve: Curve, counts: Counts) -> int:
    return int(curve.argmax())


def last(curve: Curve, counts: Counts) -> int:
    return len(curve) - 1


def smoothed(curve: Curve, counts: Counts) -> int:
    """The end of the three neighbors whose mean is highest."""
    return 2 + int(np.convolve(curve, np.full(3, 1 / 3), "valid").argmax())


def last_unless_fallen(curve: Curve, counts: Counts) -> int:
    """The last, unless the smoothed highest is ahead of it by more than chance over frames."""
    rival = smoothed(curve, counts)
    ahead = paired_bootstrap(counts[rival], counts[-1], draws=100).low > 0
    return rival if ahead else len(curve) - 1


RULES: dict[str, Rule] = {
    "highest on val": highest,
    "last": last,
    "highest mean of three": smoothed,
    "last unless fallen": last_unless_fallen,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--method", default="suponly")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--imgsz", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    name = "camvid-spread"
    settings = preset(name, "cpu", options.weights)
    site = make_site(options.out / "site", name, options.data, settings=settings)
    run = options.out / f"{options.method}-{options.steps}-{options.seed}"
    counts = counted(site, run, options)
    np.save(options.out / f"{run.name}.npy", counts)
    every_frame = [miou(each.sum(0)) for each in counts]
    print("mIoU on all frames:", " ".join(f"{value:.1f}" for value in every_frame))
    fallen = counts.copy()
    fallen[-3:] = counts[5:2:-1]  # as if the training had lost what it knew
    for title, played in ((run.name, counts), (f"{run.name}, fallen", fallen)):
        for frames in (10, 20, 50):
            for name, figures in play(played, frames, options.draws).items():
                print(f"{title}, {frames} val frames, {name}: {json.dumps(figures)}")


def counted(site: Site, run: Path, options: argparse.Namespace) -> Counts:
    """Train once, and return (weights, frames, C, C) on every frame without label."""
    stored = run / "unlabelled-counts.npy"
    if stored.exists():
        return np.asarray(np.load(stored), np.int64)
    steps = [options.steps * number // KEPT for number in range(1, KEPT + 1)]
    changes = {
        "method": options.method,
        "steps": options.steps,
        "imgsz": options.imgsz,
        "eval_every": options.steps,
        "seed": options.seed,
    }
    table = site.config.train.model_dump(mode="json") | changes
    fit_with_snapshots(site, validate_config(TrainConfig, table, "the benchmark"), run, steps)
    card, images = read_card(run), options.data / "images"
    masks = options.data / "labels"
    paths = [path for part in ("train", "val") for path in sorted((images / part).iterdir())]
    labelled = {Path(frame.source).stem for frame in site.frames("labelled")}
    paths = [path for path in paths if path.stem not in labelled][::4]
    pairs = []
    for path in paths:
        mask = read_mask(masks / path.parent.name / f"{path.stem}.png", ignore=(11,))
        image = read_image(path)
        assert image is not None, f"{path} is no image"
        pairs.append((image, mask))
    network = build_network(
        card.arch,
        card.encoder,
        len(card.classes),
        "none",
        card.rep_dim,
        (card.height, card.width),
        card.built_rates,
    ).eval()
    found = []
    for step in steps:
        load_weights(network, run / "weights" / f"step-{step:08d}.safetensors")
        found.append(count_confusion(network, pairs, (card.height, card.width), len(card.classes)))
    counts = np.stack(found)
    np.save(stored, counts)
    return counts


def fit_with_snapshots(site: Site, config: TrainConfig, run: Path, steps: list[int]) -> None:
    """Train as `edgeseg train` does, and keep the averaged weights after each of `steps`."""
    from torch import Tensor

    from edgeseg.methods import METHODS, Method, MethodContext
    from edgeseg.training.initial_weights import build_initial_network

    classes = len(site.config.classes)

    def make_method(pixels: Tensor) -> Method:
        student = build_initial_network(config, classes, None, 0, root=site.root, run=run)
        return METHODS[config.method](MethodContext(student, pixels, config, lambda: student))

    spec = TrainingSpec(
        site, config, run, make_method, steps=StepRange(0, config.steps, frozenset(steps))
    )
    fit(spec, resume=True, report=NullReporter())


def play(counts: Counts, frames: int, draws: int) -> dict[str, dict[str, float]]:
    """Draw val again and again, and return what each rule gives on the frames that are left.

    Returns:
        By rule: the true mIoU of what ships, and by how much val's own figure is above it.
    """
    stretches = np.add.reduceat(counts[-JUDGED:], np.arange(0, counts.shape[1], STRETCH), axis=1)
    rng = np.random.default_rng(0)
    shipped: dict[str, list[tuple[float, float]]] = {name: [] for name in RULES}
    for _ in range(draws):
        order = rng.permutation(stretches.shape[1])
        half = len(order) // 2
        drawn = order[: max(1, min(half, frames // STRETCH))]
        val = stretches[:, drawn]
        truth = miou_of_each(stretches[:, order[half:]].sum(1))
        curve = miou_of_each(val.sum(1))
        for name, rule in RULES.items():
            chosen = rule(curve, val)
            # What choosing adds to val's figure but not to the truth's.
            excess = (curve[chosen] - curve.mean()) - (truth[chosen] - truth.mean())
            shipped[name].append((float(truth[chosen]), float(excess)))
    return {
        name: {
            "true mIoU": round(float(np.mean([true for true, _ in values])), 2),
            "flattery": round(float(np.mean([excess for _, excess in values])), 2),
        }
        for name, values in shipped.items()
    }


if __name__ == "__main__":
    main()
