"""The frame log is offered what the camera saw and what the model predicted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.runtime.outputs.frame_log_sink import FrameLogSink
from tests.helpers.predictions import QUARTERS, gray_frame, quarter_prediction


def test_the_log_is_offered_the_original_frame_in_rgb() -> None:
    offered: list[dict[str, object]] = []

    class Log:
        def offer(self, image_rgb: NDArray[np.uint8], **rest: object) -> None:
            offered.append({"image": image_rgb.copy(), **rest})

    shown = gray_frame()
    shown.image[..., 0] = 7  # red
    FrameLogSink(Log()).write(shown, quarter_prediction())
    (record,) = offered
    assert np.asarray(record["image"])[0, 0].tolist() == [7, 128, 128]
    assert (record["camera"], record["score"], record["monotonic_ns"]) == (
        "gate",
        0.25,
        shown.monotonic_ns,
    )
    assert np.asarray(record["mask"]).shape == QUARTERS.shape and np.asarray(
        record["entropy"]
    ).shape == (4, 4)
