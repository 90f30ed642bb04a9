"""Puts a stand-in in the place of a module, in processes that tests start; see `site/`."""

from __future__ import annotations

import os
import sys

from edgeseg.runtime.backends import cuda_runtime
from tests.fakes.cudart_fake import FakeCuda
from tests.fakes.tensorrt_fake import FakeTensorRT


def stand_in(module: str) -> None:
    """Make `module` the stand-in of EDGESEG_FAKE_TENSORRT's version, and replace libcudart too.

    FAULTS of the stand-in are named in EDGESEG_FAKE_FAULTS.

    Raises:
        ImportError: The version is one of another module.
    """
    integrated = "integrated" in os.environ.get("EDGESEG_FAKE_CUDA", "")
    cuda = FakeCuda(integrated=integrated, compute=(8, 6))  # which both libraries serve
    trt = FakeTensorRT(
        os.environ["EDGESEG_FAKE_TENSORRT"],
        cuda,
        set(filter(None, os.environ.get("EDGESEG_FAKE_FAULTS", "").split(","))),
    )
    if trt.__name__ != module:
        raise ImportError(f"the stand-in is for {trt.__name__}, so there is no {module}")
    cuda_runtime.find_libraries = lambda: iter([cuda])
    sys.modules[module] = trt
