"""The parity chain: what torch, the ONNX file and the INT8 file make of the same val frames, and
how far they agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, helper
from torch import nn

from edgeseg.data.frame_reader import read_site_frame
from edgeseg.errors import ExportError
from edgeseg.export.evaluation.figures import EvaluationResult, LogitSamples
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.imaging.array_types import IGNORE, Image
from edgeseg.imaging.resize import resize_image, resize_mask
from edgeseg.losses.resize import upsample
from edgeseg.metrics import confusion_matrix
from edgeseg.models.model_files import ModelCard
from edgeseg.progress import ProgressReporter
from edgeseg.site import Frame, Site

MINIMUM_AGREEMENT = 99.9  # percent of the pixels that torch and the ONNX file must see alike
MAX_SAMPLED_PIXELS = 400_000  # pixels of val that the temperature is fitted on
Array = NDArray[np.float32]


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

    def images_and_masks(self) -> Iterable[tuple[Image, Image]]:
        """Image (H, W, 3) at the graph's size and truth at its own."""
        for frame in self.frames:
            image, truth = read_site_frame(self.site, frame)
            assert truth is not None, f"{frame.id} is a val frame without a mask"
            yield resize_image(image, self.size), truth

    def image(self, place: int) -> Image:
        """(H, W, 3) of one frame, at the graph's size."""
        return resize_image(read_site_frame(self.site, self.frames[place])[0], self.size)

    def evaluate(
        self,
        predict: Callable[[Image, Image], tuple[Image, Array | None]],
        report: ProgressReporter,
    ) -> EvaluationResult:
        """Ask `predict` for mask and entropy of every frame; it gets the image and, for fitting,
        the truth.
        """
        counts, masks, entropies = [], [], []
        for image, truth in self.images_and_masks():
            mask, entropy = predict(image, truth)
            counts.append(
                confusion_matrix(
                    truth, resize_mask(mask, (truth.shape[0], truth.shape[1])), self.classes
                )
            )
            masks.append(mask)
            if entropy is not None:
                entropies.append(entropy)
            report.advance()
        return EvaluationResult(np.stack(counts), masks, entropies)


@dataclass(frozen=True)
class CalibrationImages(Sequence[Image]):
    """Frames read when they are asked for, at the graph's size: (H, W, 3) each.

    Attributes:
        size: (height, width).
    """

    site: Site
    frames: list[Frame]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.frames)

    @overload
    def __getitem__(self, place: int) -> Image: ...
    @overload
    def __getitem__(self, place: slice) -> list[Image]: ...
    def __getitem__(self, place: int | slice) -> Image | list[Image]:
        if isinstance(place, slice):
            return [self[one] for one in range(len(self))[place]]
        return resize_image(
            read_site_frame(self.site, self.frames[range(len(self))[place]])[0], self.size
        )


def evaluate_torch(
    network: nn.Module, card: ModelCard, val: ValFrames, report: ProgressReporter
) -> tuple[EvaluationResult, LogitSamples]:
    """The first link of the chain, and what the temperature is fitted on."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (card.mean, card.std))
    sampler = _LogitSampler(val)

    def predict(image: Image, truth: Image) -> tuple[Image, None]:
        batch = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        logits = network((batch - mean) / std).logits.float()
        sampler.take(logits[0].numpy(), truth)
        return upsample(logits, val.size).argmax(1)[0].to(torch.uint8).numpy(), None

    with torch.inference_mode():
        outcome = val.evaluate(predict, report)
    return outcome, sampler.samples()


class _LogitSampler:
    """Collects logits and labels of a regular sample of the labelled pixels."""

    def __init__(self, val: ValFrames) -> None:
        self._share = max(1, MAX_SAMPLED_PIXELS // len(val.frames))
        self._kept: list[tuple[Array, Image]] = []

    def take(self, logits: Array, truth: Image) -> None:
        """From one frame: logits (C, h, w), truth (H, W)."""
        labels = resize_mask(truth, (logits.shape[1], logits.shape[2])).ravel()
        places = np.flatnonzero(labels != IGNORE)
        places = places[:: max(1, -(-len(places) // self._share))]
        self._kept.append((logits.reshape(len(logits), -1).T[places], labels[places]))

    def samples(self) -> LogitSamples:
        logits, labels = zip(*self._kept)
        return LogitSamples(np.concatenate(logits), np.concatenate(labels))


def with_logits_output(model: ModelProto) -> bytes:
    """A whole graph that gives its logits beside."""
    copy = ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.append(helper.make_empty_tensor_value_info("logits"))
    return bytes(copy.SerializeToString())


def sample_logits(
    model: ModelProto, val: ValFrames, threads: int, report: ProgressReporter
) -> LogitSamples:
    """What a whole graph gives inside, before the classes are decided."""
    session, sampler = open_session(with_logits_output(model), threads), _LogitSampler(val)
    for image, truth in val.images_and_masks():
        sampler.take(session.run(["logits"], {"image": image[None]})[0][0], truth)
        report.advance()
    return sampler.samples()


def evaluate_graph(
    data: bytes, val: ValFrames, threads: int, report: ProgressReporter
) -> EvaluationResult:
    """One link of the chain: a graph in ONNX Runtime."""
    session = open_session(data, threads)

    def predict(image: Image, _: Image) -> tuple[Image, Array]:
        mask, entropy = session.run(["mask", "entropy"], {"image": image[None]})
        return mask[0], entropy[0]

    return val.evaluate(predict, report)


def require_parity(found: dict[str, Any]) -> None:  # Any: as `figures`
    """Raises:
    ExportError: the ONNX file does not see what torch sees.
    """
    if found["agreement"] < MINIMUM_AGREEMENT:
        raise ExportError(
            f"the ONNX file agrees with torch on only {found['agreement']:.2f} % of the val pixels, less than "
            f"{MINIMUM_AGREEMENT} %; choose another arch or encoder, or report this network as a fault of edgeseg"
        )
