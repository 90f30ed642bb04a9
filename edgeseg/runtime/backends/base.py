"""The interface of every back end: a runner, which takes frames, and its prediction.

Frames go in as uint8 RGB at the graph's size; `edgeseg.imaging.frame_fit` brings them to it,
and they are normalized inside the graph (`edgeseg.export.graph.pre_post_processing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import Backend, Flavour

BackendChoice = Literal[
    "auto", "cpu", "openvino", "cuda", "tensorrt", "tensorrt-rtx", "ort-tensorrt"
]
PrecisionChoice = Literal["auto", "fp32", "int8", "fp16"]


@dataclass(frozen=True)
class Prediction:
    """The outputs of the graph for N frames.

    Attributes:
        mask: (N, H, W) uint8 class ids at the graph's input size.
        entropy: (N, h, w) float32, 0..1, at the logits' stride.
        score: (N,) float32, the share of unreliable pixels.
        area: (N, C) float32, the share of each class.
    """

    mask: NDArray[np.uint8]
    entropy: NDArray[np.float32]
    score: NDArray[np.float32]
    area: NDArray[np.float32]


class Runner(Protocol):
    """A model ready to run.

    Attributes:
        bundle: The bundle that it comes from.
        flavour: The file that runs.
        backend: The back end that runs it.
        streams: The number of threads that may call it at once.
    """

    bundle: Bundle
    flavour: Flavour
    backend: Backend
    streams: int

    def __call__(self, frames: NDArray[np.uint8]) -> Prediction:
        """Predict frames, (N, H, W, 3) uint8 RGB at the graph's size."""
