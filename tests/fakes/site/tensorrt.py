"""Found by `import tensorrt` in processes that tests start: becomes the stand-in of
EDGESEG_FAKE_TENSORRT's version.

FAULTS of the stand-in are named in EDGESEG_FAKE_FAULTS; libcudart is replaced along with it. It
runs nothing real.
"""

import os
import sys

from edgeseg.runtime.backends import cuda_runtime
from tests.fakes.cudart_fake import FakeCuda
from tests.fakes.tensorrt_fake import FakeTensorRT

_cuda = FakeCuda(integrated="integrated" in os.environ.get("EDGESEG_FAKE_CUDA", ""))
cuda_runtime.find_libraries = lambda: iter([_cuda])
sys.modules[__name__] = FakeTensorRT(
    os.environ["EDGESEG_FAKE_TENSORRT"],
    _cuda,
    set(filter(None, os.environ.get("EDGESEG_FAKE_FAULTS", "").split(","))),
)
