"""The float file and the INT8 file for CPUs of a network that nobody has trained, to time them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edgeseg.bundle.flavours import INT8_CPU
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.onnxruntime_cpu.kernel_report import (
    float_convolutions,
    inspect_kernels,
    integer_convolutions,
)
from edgeseg.export.onnxruntime_cpu.normalization_folding import fold_std
from edgeseg.export.quantization.quantizer import calibrate, quantize
from edgeseg.imaging.array_types import Image
from edgeseg.models import Network


class UntrainedFiles(NamedTuple):
    """The two files, and what is counted in them.

    Attributes:
        fp32: The float file.
        int8: The INT8 file for CPUs.
        parameters: The number of parameters as it ships, parallel branches merged.
        quantized: The convolutions that ONNX Runtime runs in integers.
        convolutions: All convolutions, average pools among them.
        conversions: The conversions between integers and floats that are left.
    """

    fp32: bytes
    int8: bytes
    parameters: int
    quantized: int
    convolutions: int
    conversions: int


def write_untrained_files(
    network: Network, classes: int, images: Sequence[Image], threads: int
) -> UntrainedFiles:
    """Export a network as the float file and as the INT8 file for CPUs.

    Args:
        network: Its batch norms must fit the images, or activations vanish or explode.
        classes: The number of classes.
        images: (H, W, 3) uint8 RGB each, at the network's size: ranges are taken from them.
        threads: 0 for as many as there are cores.

    Raises:
        ExportError: The network cannot be exported.
    """
    height, width = images[0].shape[:2]
    mean, std = network.normalization
    interface = Interface(height=height, width=width, classes=classes, mean=mean, std=std)
    merged = network.eval().reparameterized()
    exported = export_network(merged, interface.height, interface.width)
    graph, interface = fold_std(canonicalize_names(lower(exported)), interface)
    calibrated = calibrate(graph, interface, images, threads=threads)
    model = quantize(calibrated, interface, INT8_CPU)
    int8 = model.SerializeToString()
    kernels = inspect_kernels(int8)
    return UntrainedFiles(
        fp32=wrap_network(graph, interface).SerializeToString(),
        int8=int8,
        parameters=sum(parameter.numel() for parameter in merged.parameters()),
        quantized=kernels.quantized,
        convolutions=integer_convolutions(model) + len(float_convolutions(model)),
        conversions=kernels.conversions,
    )
