"""OpenVINO's Python module (https://docs.openvino.ai), which is optional, and how it is set up.

Its package brings `openvino-telemetry`, which its model conversion reports to; edgeseg converts
nothing with it, and so nothing is reported.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from typing import Any

from edgeseg.errors import DependencyError
from edgeseg.installation import install_command

DEVICE = "CPU"


def is_installed() -> bool:
    """Return whether the module is there: quick, and nothing is loaded."""
    return importlib.util.find_spec("openvino") is not None


def installed_version() -> str:
    """Return the version of the package; empty if it is not installed."""
    try:
        return importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        return "unknown" if is_installed() else ""


def import_openvino() -> Any:  # Any: the module has no types
    """Return the module.

    Raises:
        DependencyError: It is not installed, or cannot load its libraries.
    """
    try:
        return importlib.import_module("openvino")
    except (ImportError, OSError) as error:
        reason = "is not installed" if not is_installed() else f"does not load ({error})"
        raise DependencyError(
            f"OpenVINO {reason}; run `{install_command('openvino')}`, or use --backend cpu, which "
            "is ONNX Runtime"
        ) from None


def compile_settings(threads: int, streams: int) -> dict[str, str | int | bool]:
    """Return OpenVINO's settings for `streams` frames at once on `threads` threads in all.

    Frames are to come out soon, and decoding and writing need the cores as well: so threads are not
    pinned to cores, and as many run as were asked for, hyper-threads among them. Floats stay FP32,
    where some processors would take bfloat16.
    """
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
        "ENABLE_HYPER_THREADING": True,
    }
