"""What the machine is: GPU, driver, versions."""

from __future__ import annotations

import importlib.metadata
import platform

import torch

from benchmarks.gpu.findings import Finding
from benchmarks.gpu.isolation import Part
from benchmarks.gpu.settings import Settings

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "segmentation-models-pytorch",
    "lightning-fabric",
    "onnx",
    "onnxruntime",
    "tensorrt-rtx-cu13",
    "numpy",
)


def measure(item: str, settings: Settings) -> Finding:
    """Look at the GPU, and at the versions of what uses it."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "-"
    figures: dict[str, object] = {"python": platform.python_version(), "versions": versions}
    if settings.rehearse:
        return Finding(True, f"a CPU, {platform.machine()}, torch {torch.__version__}", figures)
    device = torch.cuda.get_device_properties(0)
    figures |= {
        "gpu": device.name,
        "compute_capability": f"{device.major}.{device.minor}",
        "memory_bytes": device.total_memory,
        "multiprocessors": device.multi_processor_count,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }
    text = (
        f"{device.name}, compute capability {device.major}.{device.minor}, "
        f"{device.total_memory / 2**30:.0f} GiB, torch {torch.__version__}"
    )
    return Finding(True, text, figures)


PART = Part("machine", lambda settings: ["gpu"], measure, seconds=10)
