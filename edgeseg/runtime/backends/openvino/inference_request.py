"""One frame through an inference request of OpenVINO."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.bundle.graph_signature import OUTPUTS
from edgeseg.runtime.backends.base import Prediction


def run_request(request: Any, frame: NDArray[np.uint8]) -> Prediction:
    """Return the prediction of one frame, (1, H, W, 3) uint8 RGB, as arrays of its own.

    Args:
        request: openvino.InferRequest, which has no types; its results are overwritten by the
            next call.

    Raises:
        RuntimeError: OpenVINO fails.
    """
    results = request.infer(
        {"image": np.ascontiguousarray(frame)}, share_inputs=True, share_outputs=True
    )
    return Prediction(*(np.array(results[name]) for name in OUTPUTS))
