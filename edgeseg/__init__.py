"""edgeseg: from footage and a few masks to a segmentation model that runs, watches and adapts on an
edge device.

The names below are the public interface; docs/python-api.md shows how they go together. They are
imported at first use: `import edgeseg` is instant, and what a device needs never imports torch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgeseg.lazy import lazy_names
from edgeseg.version import __version__

if TYPE_CHECKING:
    from edgeseg.adapt.round_runner import run_round
    from edgeseg.bundle import Bundle
    from edgeseg.compare.comparison import compare
    from edgeseg.errors import (
        AdaptError,
        BundleError,
        ConfigError,
        DataError,
        DependencyError,
        EdgesegError,
        EngineError,
        ExportError,
        FrameLogError,
        SourceError,
        TrainError,
    )
    from edgeseg.export.exporter import export
    from edgeseg.runtime.backends.frame_prediction import predict_frame
    from edgeseg.runtime.backends.open_runner import open_runner
    from edgeseg.runtime.inference import infer
    from edgeseg.site import Site
    from edgeseg.training.distill import distill
    from edgeseg.training.train import train

__all__ = [
    "AdaptError",
    "Bundle",
    "BundleError",
    "ConfigError",
    "DataError",
    "DependencyError",
    "EdgesegError",
    "EngineError",
    "ExportError",
    "FrameLogError",
    "Site",
    "SourceError",
    "TrainError",
    "__version__",
    "compare",
    "distill",
    "export",
    "infer",
    "open_runner",
    "predict_frame",
    "run_round",
    "train",
]

# `compare` and `export` are also packages, which can be called (see edgeseg/lazy.py).
_HOMES = {
    "Bundle": "edgeseg.bundle",
    "Site": "edgeseg.site",
    "compare": "edgeseg.compare",
    "distill": "edgeseg.training.distill",
    "export": "edgeseg.export",
    "infer": "edgeseg.runtime.inference",
    "open_runner": "edgeseg.runtime.backends.open_runner",
    "predict_frame": "edgeseg.runtime.backends.frame_prediction",
    "run_round": "edgeseg.adapt.round_runner",
    "train": "edgeseg.training.train",
} | {name: "edgeseg.errors" for name in __all__ if name.endswith("Error")}

# From 1.29 on, ONNX Runtime's wheels for Linux and macOS send digests of models, the name of the
# processor and times to Microsoft, and keep an id of the device in ~/.cache. It looks once, when it
# is loaded, whether it may, so this stands before every import of it. 0 in the environment allows.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"os"})
