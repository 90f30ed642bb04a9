"""The order of labels on a frozen encoder: minutes instead of hours, to compare orders by.

    python benchmarks/label_worth_probe.py --data DATA --weights FILE.safetensors --out FOLDER

As benchmarks/label_worth.py, but what is trained is one layer on ImageNet features (from stride 8
on of MobileNetV2, brought to stride 8 and to 96 principal components), and mIoU is counted on
cells of 8 x 8 pixels. The figures are far below those of a network that is trained; the order of
the strategies is what they are for. Each seed draws three quarters of the pool anew. The rows are
those of label_worth.py and parts of the worth alone:

    coverage   what a label stands for, without the model's doubts and without rare classes
    timeless   the whole worth, but frames near in time are like any others
    doubts     the model's doubts alone, as uncertainty sampling does
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.label_worth import PER_ROUND, ROUNDS, SITES, farthest_points, make_base
from edgeseg.data.frame_reader import read_site_frame
from edgeseg.imaging.array_types import IGNORE, Image
from edgeseg.imaging.frame_fit import FrameFit, fit_frame
from edgeseg.imaging.resize import resize_image, resize_mask
from edgeseg.labelling.site_models import ModelView
from edgeseg.labelling.worth.label_queue import PIXEL_SHARE, unit_spread
from edgeseg.labelling.worth.label_ranking import LabelPool, Moment, WorthWeights, rank_frames
from edgeseg.labelling.worth.model_doubts import ModelDoubts, look_at_frame
from edgeseg.labelling.worth.pixel_features import describe_pixels
from edgeseg.losses.entropy import entropy
from edgeseg.metrics import confusion_matrix, miou
from edgeseg.models import Network, build_network
from edgeseg.site import Frame, Site
from edgeseg.training.model_evaluation import normalize_images

Floats = NDArray[np.float32]
SIZES = {"demo": (96, 144), "camvid": (192, 256), "dhcn": (192, 192)}  # that the encoder sees
COMPONENTS, CELLS, STEPS, STRIDE = 96, 8000, 120, 8
GROUPS = (("camera", "a"),)  # one for all: each site has one camera
WORTHS = {
    "worth": WorthWeights(),
    "coverage": WorthWeights(doubt=0, rare=0, trust=1e9),
    "timeless": WorthWeights(timeless=1),
    "doubts": WorthWeights(coverage=0, rare=0, doubt=1, trust=1),
}
STRATEGIES = (*WORTHS, "random", "even", "kcenter")


@dataclass(frozen=True)
class Features:
    """Frames as the layer sees them: N frames of h x w cells.

    Attributes:
        cells: (N, h, w, D); `mirrored` the same of mirrored frames, mirrored back.
        labels: (N, h, w) class ids.
        pooled, pixels: (N, .) features for novelty, of the encoder and of pixels.
        val: (N,) whether a frame judges.
        seconds: (N,) when a frame was taken.
        classes: Number of classes, C.
    """

    cells: Floats
    mirrored: Floats
    labels: NDArray[np.uint8]
    pooled: Floats
    pixels: Floats
    val: NDArray[np.bool_]
    seconds: NDArray[np.float64]
    classes: int


def load_features(site: Site, name: str, weights: Path, path: Path) -> Features:
    """Return the features of a site's frames, which are made once."""
    if not path.exists():
        source = str(weights.resolve())
        network = build_network("deeplabv3plus", "mobilenetv2_100", 2, source, 0, SIZES[name])
        network.eval()
        rows = [_describe(network, site, frame, SIZES[name]) for frame in site.frames()]
        stacked = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
        flat = stacked["cells"].reshape(-1, stacked["cells"].shape[-1])
        mean, spread = flat.mean(0, dtype=np.float32), flat[::7].astype(np.float32).std(0) + 1e-3
        sample = (flat[::23].astype(np.float32) - mean) / spread
        axes = np.linalg.svd(sample, full_matrices=False)[2][:COMPONENTS].T / spread[:, None]
        for key in ("cells", "mirrored"):
            parts = [(part - mean) @ axes for part in stacked[key]]
            stacked[key] = np.stack(parts).astype(np.float16)
        stacked["val"] = np.array([frame.split == "val" for frame in site.frames()])
        np.savez(path, **stacked)  # type: ignore[arg-type]
    with np.load(path, allow_pickle=False) as arrays:
        kept = {key: arrays[key] for key in arrays}
    seconds = np.array([frame.time for frame in site.frames()])
    return Features(**kept, seconds=seconds, classes=len(site.config.classes))


@torch.inference_mode()
def _describe(
    network: Network, site: Site, frame: Frame, size: tuple[int, int]
) -> dict[str, NDArray[np.generic]]:
    image, mask = read_site_frame(site, frame)
    assert mask is not None, "every frame of a base is labelled"
    small = resize_image(image, size)
    grid = size[0] // STRIDE, size[1] // STRIDE
    views, pooled = [], []
    for picture in (small, np.ascontiguousarray(small[:, ::-1])):
        maps = network.encode(normalize_images([picture], network.normalization))[3:]
        pooled.append(maps[-1][0].mean((1, 2)).numpy())
        cells = [F.interpolate(part, grid, mode="bilinear")[0] for part in maps]
        views.append(torch.cat(cells).permute(1, 2, 0).half().numpy())
    return {
        "cells": views[0],
        "mirrored": views[1][:, ::-1],
        "labels": resize_mask(mask, grid),
        "pooled": pooled[0],
        "pixels": describe_pixels(image),
    }


def fit_layer(features: Features, labelled: list[int], seed: int) -> Tensor:
    """Fit the layer to labelled frames; classes are weighed as in edgeseg's trainings."""
    cells = torch.from_numpy(features.cells[labelled].reshape(-1, COMPONENTS)).float()
    truth = torch.from_numpy(features.labels[labelled].reshape(-1)).long()
    known = torch.nonzero(truth != IGNORE)[:, 0]
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))[:CELLS]
    cells, truth = cells[known[order]], truth[known[order]]
    share = torch.bincount(truth, minlength=features.classes) / len(truth)
    weight = torch.where(share > 0, share.clamp_min(1e-6) ** -0.4, 0.0)
    layer = torch.zeros(COMPONENTS + 1, features.classes, requires_grad=True)
    optimizer = torch.optim.Adam([layer], lr=0.03)
    for _ in range(STEPS):
        loss = F.cross_entropy(_logits(layer, cells), truth, weight=weight)
        optimizer.zero_grad()
        (loss + 2e-4 * (layer**2).sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return layer.detach()


def _logits(layer: Tensor, cells: Tensor) -> Tensor:
    return (cells @ layer[:-1] + layer[-1]) / 4


class Layer:
    """The layer as a `SiteModel` whose pictures are the numbers of frames."""

    name, digest = "layer", ""

    def __init__(self, features: Features, layer: Tensor, place: int) -> None:
        self._features, self._layer, self._place, self._calls = features, layer, place, 0

    def fit(self, image: Image) -> FrameFit:
        size = self._features.labels.shape[1], self._features.labels.shape[2]
        return fit_frame("stretch", size, size)

    def view(self, image: Image) -> ModelView:
        """The frame at the first call, the mirrored one at the second."""
        self._calls += 1
        cells = self._features.cells if self._calls == 1 else self._features.mirrored[:, :, ::-1]
        logits = _logits(self._layer, torch.from_numpy(cells[self._place].copy()).float())
        doubts = entropy(logits.permute(2, 0, 1)[None].softmax(1))[0]
        mask = logits.argmax(-1).to(torch.uint8).numpy()
        return ModelView(mask, doubts.numpy(), self._features.pooled[self._place])


def choose_by_worth(
    features: Features, pool: list[int], labelled: list[int], layer: Tensor | None, name: str
) -> list[int]:
    """Return the next frames by the product's own ranking."""
    everything = [*pool, *labelled]
    points, doubts = unit_spread(features.pixels[everything]), None
    areas = np.zeros(features.classes, np.float32)
    if layer is not None:
        points = np.hstack([unit_spread(features.pooled[everything]), PIXEL_SHARE * points])
        blank = np.zeros((*features.labels.shape[1:], 3), np.uint8)
        rows = [
            look_at_frame(Layer(features, layer, place), blank, features.classes) for place in pool
        ]
        doubts = ModelDoubts.from_rows(np.stack(rows), features.classes)
        for place in labelled:
            counts = np.bincount(features.labels[place].ravel(), minlength=256)
            areas += counts[: features.classes] / features.labels[place].size
    number = len(pool)
    groups = [GROUPS] * len(everything)
    moments = [Moment(("", ""), float(features.seconds[place])) for place in everything]
    ranked = rank_frames(
        LabelPool(
            points[:number],
            points[number:],
            groups[:number],
            groups[number:],
            doubts,
            areas,
            moments[:number],
            moments[number:],
        ),
        PER_ROUND,
        WORTHS[name],
    )
    return [pool[entry.place] for entry in ranked]


def run_curve(features: Features, strategy: str, seed: int) -> list[float]:
    """Return mIoU on val after each round."""
    random = np.random.default_rng(seed)
    training = np.flatnonzero(~features.val)
    drawn = sorted(random.choice(training, 3 * len(training) // 4, replace=False).tolist())
    turns = (random.random() + np.arange(4 * len(drawn)) * 0.6180339887498949) % 1
    even = list(dict.fromkeys(drawn[int(turn * len(drawn))] for turn in turns))
    labelled: list[int] = []
    layer, figures = None, []
    for _ in range(ROUNDS):
        pool = [place for place in drawn if place not in labelled]
        if strategy in WORTHS:
            labelled += choose_by_worth(features, pool, labelled, layer, strategy)
        elif strategy == "random":
            labelled += random.choice(pool, PER_ROUND, replace=False).tolist()
        elif strategy == "even":
            labelled += [place for place in even if place not in labelled][:PER_ROUND]
        else:
            labelled += farthest_points(features.pixels, pool, labelled, seed)
        layer = fit_layer(features, labelled, seed)
        cells = torch.from_numpy(features.cells[features.val]).float()
        predicted = _logits(layer, cells).argmax(-1).to(torch.uint8).numpy()
        truth = features.labels[features.val]
        pairs = zip(truth, predicted)
        counts = [confusion_matrix(*pair, features.classes) for pair in pairs]
        figures.append(miou(np.sum(counts, 0)))
    return figures


def main() -> None:
    """Run all curves and print a table for each site."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sites", type=lambda text: text.split(","), default=list(SITES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strategies", type=lambda text: text.split(","), default=list(STRATEGIES))
    options = parser.parse_args()
    for name in options.sites:
        base = make_base(options.out / "bases" / name, name, options.data)
        path = options.out / f"features-{name}.npz"
        features = load_features(base, name, options.weights, path)
        counts = [PER_ROUND * (number + 1) for number in range(ROUNDS)]
        print(f"\n{name}: mIoU of cells, mean of {options.seeds} seeds (deviation)\n")
        print("| chosen by | " + " | ".join(f"{count} labels" for count in counts) + " |")
        print("|---" * (ROUNDS + 1) + "|", flush=True)
        for strategy in options.strategies:
            curves = np.array(
                [run_curve(features, strategy, seed) for seed in range(options.seeds)]
            )
            pairs = zip(curves.mean(0), curves.std(0))
            cells = " | ".join(f"{mean:.1f} ({deviation:.1f})" for mean, deviation in pairs)
            print(f"| {strategy} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
