"""ONNX Runtime sessions for checks on this machine: on the CPU, silent, one frame at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime

from edgeseg.runtime.backends.onnxruntime_backend import DISABLED_OPTIMIZERS

ERRORS_ONLY = 3  # errors only


def open_session(
    data: bytes, threads: int = 0, *, optimized: Path | None = None, plain: bool = False
) -> Any:  # Any: onnxruntime has no types
    """Return a session made from the bytes of a graph.

    Args:
        threads: 0 for as many as there are cores.
        optimized: Where to write the graph as ONNX Runtime optimized it.
        plain: Run each node as it stands, Q/DQ in floating point.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = threads
    # idle threads must not spin: those of one session would slow the next
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(
        data,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=DISABLED_OPTIMIZERS,  # as on devices
    )
