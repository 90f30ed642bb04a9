"""The parity chain: what torch, the ONNX file and the INT8 file make of the same val frames, and how far they agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeseg.data.dataset import read_frame, resize_image, resize_mask
from edgeseg.errors import ExportError
from edgeseg.export.session import open_session
from edgeseg.losses.supervised import upsample
from edgeseg.metrics import IGNORE, Counts, agreement, confusion, iou, miou, paired_bootstrap
from edgeseg.models.checkpoint import ModelCard
from edgeseg.progress import Report
from edgeseg.site import Frame, Site

LEAST_AGREEMENT = 99.9  # percent of the pixels that torch and the ONNX file must see alike
SAMPLES = 400_000  # pixels of val that the temperature is fitted on
Image = NDArray[np.uint8]
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Outcome:
    """What one model made of the val frames.

    Attributes:
        counts: (frames, C, C), at the truth's own size.
        masks: (H, W) uint8 of each frame, at the graph's size.
        entropies: (h, w) float32 of each frame; none from torch.
    """

    counts: Counts
    masks: list[Image]
    entropies: list[Array]


@dataclass(frozen=True)
class ValFrames:
    """The val frames, read anew for each model: only what is small is kept.

    Attributes:
        size: (height, width) of the graph.
    """

    site: Site
    frames: list[Frame]
    size: tuple[int, int]

    @property
    def classes(self) -> int:
        return len(self.site.config.classes)

    def pairs(self) -> Iterable[tuple[Image, Image]]:
        """Image (H, W, 3) at the graph's size and truth at its own."""
        for frame in self.frames:
            image, truth = read_frame(self.site, frame)
            assert truth is not None, f"{frame.id} is a val frame without a mask"
            yield resize_image(image, self.size), truth

    def image(self, place: int) -> Image:
        """(H, W, 3) of one frame, at the graph's size."""
        return resize_image(read_frame(self.site, self.frames[place])[0], self.size)

    def measure(self, predict: Callable[[Image, Image], tuple[Image, Array | None]], report: Report) -> Outcome:
        """Ask `predict` for mask and entropy of every frame; it gets the image and, for fitting, the truth."""
        counts, masks, entropies = [], [], []
        for image, truth in self.pairs():
            mask, entropy = predict(image, truth)
            counts.append(confusion(truth, resize_mask(mask, (truth.shape[0], truth.shape[1])), self.classes))
            masks.append(mask)
            if entropy is not None:
                entropies.append(entropy)
            report.advance()
        return Outcome(np.stack(counts), masks, entropies)


def run_torch(network: nn.Module, card: ModelCard, val: ValFrames, report: Report) -> tuple[Outcome, Array, Image]:
    """The first link of the chain, and what the temperature is fitted on.

    Returns:
        The outcome, logits (M, C) and labels (M,) of a regular sample of the labelled pixels at the logits' size.
    """
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (card.mean, card.std))
    kept: list[tuple[Array, Image]] = []
    share = max(1, SAMPLES // len(val.frames))

    def predict(image: Image, truth: Image) -> tuple[Image, None]:
        batch = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        logits = network((batch - mean) / std).logits.float()
        small = resize_mask(truth, (logits.shape[2], logits.shape[3])).ravel()
        places = np.flatnonzero(small != IGNORE)
        places = places[:: max(1, -(-len(places) // share))]
        kept.append((logits[0].flatten(1).T.numpy()[places], small[places]))
        return upsample(logits, val.size).argmax(1)[0].to(torch.uint8).numpy(), None

    with torch.inference_mode():
        outcome = val.measure(predict, report)
    return outcome, np.concatenate([logits for logits, _ in kept]), np.concatenate([labels for _, labels in kept])


def run_graph(data: bytes, val: ValFrames, threads: int, report: Report) -> Outcome:
    """One link of the chain: a graph in ONNX Runtime."""
    session = open_session(data, threads)

    def predict(image: Image, _: Image) -> tuple[Image, Array]:
        mask, entropy = session.run(["mask", "entropy"], {"image": image[None]})
        return mask[0], entropy[0]

    return val.measure(predict, report)


def figures(
    outcome: Outcome, names: tuple[str, ...], before: Outcome | None = None
) -> dict[str, Any]:  # Any: numbers, tables
    """What the manifest says of one link: mIoU and IoU of each class in percent, and how it compares with `before`.

    `drop` is in mIoU points, positive where this link is worse; `drop_interval` its 95 % interval over frames.
    """
    total = outcome.counts.sum(0)
    classes = iou(total)
    found: dict[str, Any] = {
        "miou": round(miou(total), 4),
        "per_class": {name: None if np.isnan(value) else round(float(value), 3) for name, value in zip(names, classes)},
    }
    if before is not None:
        change = paired_bootstrap(outcome.counts, before.counts)
        losses = np.nan_to_num(iou(before.counts.sum(0)) - classes, nan=-np.inf)
        worst = int(np.argmax(losses))
        found |= {
            "agreement": round(float(np.mean([agreement(a, b) for a, b in zip(outcome.masks, before.masks)])), 4),
            "drop": round(-change.mean, 4),
            "drop_interval": [round(-change.high, 4), round(-change.low, 4)],
            "worst_class": {"name": names[worst], "drop": round(float(losses[worst]), 3)},
        }
    return found


def check_parity(found: dict[str, Any]) -> None:  # Any: as `figures`
    """Raises:
    ExportError: the ONNX file does not see what torch sees.
    """
    if found["agreement"] < LEAST_AGREEMENT:
        raise ExportError(
            f"the ONNX file agrees with torch on only {found['agreement']:.2f} % of the val pixels, less than "
            f"{LEAST_AGREEMENT} %; choose another arch or encoder, or report this network as a fault of edgeseg"
        )
