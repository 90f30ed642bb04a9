"""The parity chain: torch, the ONNX file and the files made from it, on the same val frames.

The evaluations are compared in `edgeseg.export.evaluation.figures`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, helper
from torch import nn

from edgeseg.errors import ExportError
from edgeseg.export.evaluation.figures import EvaluationResult, LogitSamples
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.evaluation.site_frames import ValFrames
from edgeseg.imaging.array_types import IGNORE, Image, Mask
from edgeseg.imaging.frame_fit import fit_frame
from edgeseg.losses.shared.resize import upsample
from edgeseg.models.model_files import ModelCard
from edgeseg.progress import ProgressReporter

MINIMUM_AGREEMENT = 99.9  # percent of the pixels that torch and the ONNX file must see alike
MAX_SAMPLED_PIXELS = 400_000  # pixels of val that the temperature is fitted on
Array = NDArray[np.float32]


def evaluate_torch(
    network: nn.Module, card: ModelCard, val: ValFrames, report: ProgressReporter
) -> tuple[EvaluationResult, LogitSamples]:
    """Evaluate the network in torch.

    Returns:
        The evaluation, and a sample of the logits that the temperature is fitted on.
    """
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (card.mean, card.std))
    sampler = _LogitSampler(val)

    def predict(image: Image, truth: Mask) -> tuple[Mask, None]:
        batch = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        logits = network((batch - mean) / std).logits.float()
        sampler.add(logits[0].numpy(), truth)
        return upsample(logits, val.size).argmax(1)[0].to(torch.uint8).numpy(), None

    with torch.inference_mode():
        evaluation = val.evaluate(predict, report)
    return evaluation, sampler.samples()


def evaluate_graph(
    data: bytes, val: ValFrames, threads: int, report: ProgressReporter
) -> EvaluationResult:
    """Evaluate a graph in ONNX Runtime."""
    session = open_session(data, threads)

    def predict(image: Image, _: Mask) -> tuple[Mask, Array]:
        mask, entropy = session.run(["mask", "entropy"], {"image": image[None]})
        return mask[0], entropy[0]

    return val.evaluate(predict, report)


def sample_logits(
    model: ModelProto, val: ValFrames, threads: int, report: ProgressReporter
) -> LogitSamples:
    """Sample the logits inside a whole graph, from which it decides the classes."""
    session, sampler = open_session(with_logits_output(model), threads), _LogitSampler(val)
    for image, truth in val.images_and_masks():
        sampler.add(session.run(["logits"], {"image": image[None]})[0][0], truth)
        report.advance()
    return sampler.samples()


def with_logits_output(model: ModelProto) -> bytes:
    """Return a whole graph with its logits as a further output."""
    copy = ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.append(helper.make_empty_tensor_value_info("logits"))
    return bytes(copy.SerializeToString())


class _LogitSampler:
    """Collects logits and labels of a regular sample of the labelled pixels."""

    def __init__(self, val: ValFrames) -> None:
        self._fit = val.fit
        self._most_per_frame = max(1, MAX_SAMPLED_PIXELS // len(val.frames))
        self._sampled: list[tuple[Array, Mask]] = []

    def add(self, logits: Array, truth: Mask) -> None:
        """Take every n-th labelled pixel of one frame: logits (C, h, w), truth (H, W).

        With 10 000 labelled pixels and at most 4 000 wanted, n is ceil(2.5) = 3, which leaves
        3 334 of them.
        """
        size = logits.shape[1], logits.shape[2]
        fit = fit_frame(self._fit, (truth.shape[0], truth.shape[1]), size)
        labels = fit.mask(truth).ravel()
        labelled = np.flatnonzero(labels != IGNORE)
        step = max(1, -(-len(labelled) // self._most_per_frame))  # -(-a // b) rounds up
        pixels = labelled[::step]
        self._sampled.append((logits.reshape(len(logits), -1).T[pixels], labels[pixels]))

    def samples(self) -> LogitSamples:
        """Return what was collected."""
        logits, labels = zip(*self._sampled)
        return LogitSamples(np.concatenate(logits), np.concatenate(labels))


def require_parity(figures: dict[str, Any]) -> None:  # Any: numbers and tables of them
    """Check that the ONNX file computes what torch does.

    Args:
        figures: The figures of the ONNX file, compared with torch.

    Raises:
        ExportError: The two agree on too few pixels.
    """
    agreement = figures["agreement"]
    if agreement < MINIMUM_AGREEMENT:
        raise ExportError(
            f"the ONNX file agrees with torch on only {agreement:.2f} % of the val pixels, less "
            f"than {MINIMUM_AGREEMENT} %; choose another arch or encoder, or report this network "
            "as a fault of edgeseg"
        )
