"""The output that offers every predicted frame to the frame log (`edgeseg infer --log`)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Image
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.outputs.base import Sink
from edgeseg.runtime.sources.base import SourceFrame


class AcceptsFrames(Protocol):
    """The part of `edgeseg.runtime.framelog.frame_log.FrameLog` that is used here."""

    def offer(
        self,
        image_rgb: Image,
        *,
        camera: str,
        score: float,
        mask: Image | None,
        entropy: NDArray[np.float32] | None,
        monotonic_ns: int,
        wait: bool = False,
    ) -> None:
        """Take the frame if it is worth logging; wait for the disk only if told to."""


class FrameLogSink(Sink):
    """Offers every frame to the frame log, which has its own thread and decides by itself."""

    def __init__(self, log: AcceptsFrames, *, wait: bool = False) -> None:
        """Take an open log, which the caller closes.

        Args:
            log: The frame log.
            wait: For recorded footage, of which no frame has to be missed.
        """
        self._log, self._wait = log, wait

    def write(self, frame: SourceFrame, prediction: Prediction) -> None:
        """Offer one frame."""
        self._log.offer(
            frame.image,
            camera=frame.camera,
            score=float(prediction.score[0]),
            mask=prediction.mask[0],
            entropy=prediction.entropy[0],
            monotonic_ns=frame.monotonic_ns,
            wait=self._wait,
        )
