"""Evaluation of a trained torch model on labelled frames, by one confusion matrix.

Predictions are compared at the frames' own size.

During training the val split is evaluated by `edgeseg.training.validation`; an exported bundle is
evaluated by `edgeseg.runtime.bundle_evaluation`, without torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgeseg.config import FitMode
from edgeseg.data.frame_reader import read_site_frame
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.imaging.frame_fit import fit_frame
from edgeseg.losses.entropy import entropy
from edgeseg.losses.shared.resize import upsample
from edgeseg.metrics import Counts, confusion_matrix
from edgeseg.models import Network
from edgeseg.models.model_files import LoadedModel, load_model
from edgeseg.models.pretrained.normalization import Normalization
from edgeseg.site import Frame, Site

EVALUATION_BATCH = 4  # frames that go through the network at a time


def evaluate_frames(
    model: LoadedModel, site: Site, frames: Sequence[Frame], *, device: torch.device | str = "cpu"
) -> Counts:
    """Count the confusions of a model on frames of a site that have masks.

    The model stays on `device`.

    Returns:
        (frames, C, C) int64.
    """
    card, module = model.card, model.module.to(device)
    size, classes = (card.height, card.width), len(card.classes)
    pairs = _pairs(site, frames)
    return count_confusion(module, pairs, size, classes, fit=card.fit, device=device)


def evaluate_run(run: Path, pairs: Iterable[tuple[Image, Mask]]) -> Counts:
    """Count the confusions of a run's best weights.

    Args:
        run: The run folder.
        pairs: Images (H, W, 3) RGB with their truth (H, W).

    Returns:
        (frames, C, C) int64.

    Raises:
        TrainError: the run is unfinished or damaged.
    """
    model = load_model(run)
    card = model.card
    size, classes = (card.height, card.width), len(card.classes)
    return count_confusion(model.module, pairs, size, classes, fit=card.fit)


def count_confusion(
    module: Network,
    pairs: Iterable[tuple[Image, Mask]],
    size: tuple[int, int],
    classes: int,
    *,
    fit: FitMode = "stretch",
    device: torch.device | str = "cpu",
    batch: int = EVALUATION_BATCH,
) -> Counts:
    """Count the confusions of a network in every frame.

    Args:
        module: The network, in eval mode.
        pairs: Image and truth at the frame's own size; the image is brought to `size`, the
            prediction back to the truth's. What a crop does not see counts as not labelled.
        size: (height, width) that the network sees.
        classes: Their number C.
        fit: How frames of another shape come to `size`.
        device: Where the network is.
        batch: Frames that go through the network at a time.

    Returns:
        (frames, C, C) int64.
    """
    counts: list[Counts] = []
    for some in _batches(pairs, batch):
        fits = [fit_frame(fit, (truth.shape[0], truth.shape[1]), size) for _, truth in some]
        inputs = [place.image(image) for place, (image, _) in zip(fits, some)]
        masks, _ = predict(module, inputs, device)
        for place, (_, truth), mask in zip(fits, some, masks.numpy()):
            counts.append(confusion_matrix(*place.seen_pair(truth, mask), classes))
    return np.stack(counts) if counts else np.zeros((0, classes, classes), np.int64)


@torch.inference_mode()
def predict(
    module: Network, images: Sequence[Image], device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Return the most likely class and the entropy of frames of one size.

    Args:
        module: The network, in eval mode.
        images: (H, W, 3) uint8 RGB each, at the network's size.
        device: Where the network is.

    Returns:
        (B, H, W) uint8 class ids and (B, h, w) float32 entropy 0..1, on the CPU.
    """
    logits = module(normalize_images(images, module.normalization, device)).logits.float()
    mask = upsample(logits, images[0].shape[:2]).argmax(1).to(torch.uint8)
    return mask.cpu(), entropy(logits.softmax(1)).cpu()


def normalize_images(
    images: Sequence[Image], normalization: Normalization, device: torch.device | str = "cpu"
) -> Tensor:
    """Stack (H, W, 3) uint8 RGB images as a network takes them, (B, 3, H, W) float32.

    Args:
        images: Of one size.
        normalization: The network's.
        device: Where the result is.
    """
    batch = torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float() / 255
    mean, std = normalization.tensors(device)
    return ((batch - mean) / std).contiguous(memory_format=torch.channels_last)


def _pairs(site: Site, frames: Iterable[Frame]) -> Iterator[tuple[Image, Mask]]:
    for frame in frames:
        image, mask = read_site_frame(site, frame)
        assert mask is not None, f"{frame.id} has no mask"
        yield image, mask


def _batches(pairs: Iterable[tuple[Image, Mask]], size: int) -> Iterator[list[tuple[Image, Mask]]]:
    """Lists of `size` pairs, read as they are needed; the last may be shorter."""
    pairs = iter(pairs)
    while some := list(islice(pairs, size)):
        yield some
