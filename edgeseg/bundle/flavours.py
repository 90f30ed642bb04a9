"""The flavours of a bundle: each kind of graph file that an export can make, one entry each.

Bundle, gates, reports and back ends read these entries and know no flavour by themselves. A new
flavour is one entry here, one builder in `edgeseg/export/<target>/` with its step in
`edgeseg.export.bundle_files` or `edgeseg.export.int8_files`, and one page of docs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Flavour = Literal["fp32", "int8-cpu", "int8-trt", "fp16"]
Int8Flavour = Literal["int8-cpu", "int8-trt"]
Precision = Literal["fp32", "fp16", "int8"]
Backend = Literal["cpu", "openvino", "cuda", "tensorrt", "tensorrt-rtx", "ort-tensorrt"]
Gate = Literal["accuracy", "speed", "kernels", "checklist", "library"]

# Where code is about one certain flavour, it names it by these.
FP32: Final = "fp32"
INT8_CPU: Final = "int8-cpu"
INT8_TRT: Final = "int8-trt"
FP16: Final = "fp16"


@dataclass(frozen=True, kw_only=True)
class FlavourSpec:
    """One kind of graph file.

    Attributes:
        name: The flavour, as manifests, metadata and `--json` output write it.
        file: The name of the file in a bundle.
        title: The name in tables that people read.
        precision: What `--precision` calls it.
        backends: The back ends that run it.
        preference: The rank for "auto", 0 first; among flavours that one back end runs it decides
            until they were timed on the device.
        auto_needs_speedup: "auto" passes over the file unless the export found it no slower than
            FP32.
        must_be_marked: A file without the flavour's name in its metadata is refused.
        export_option: The option of `edgeseg export` that makes it; empty if every export does.
        gates: What an exported file must pass to be shipped
            (`edgeseg.export.evaluation.gates`); empty for the file that the others are compared
            with.
    """

    name: Flavour
    file: str
    title: str
    precision: Precision
    backends: tuple[Backend, ...]
    preference: int
    auto_needs_speedup: bool = False
    must_be_marked: bool = False
    export_option: str = ""
    gates: tuple[Gate, ...] = ()


# The order is that of tables and of the digest in a bundle's default name. No file is made for
# CUDA in INT8: ONNX Runtime has no INT8 kernels there.
FLAVOURS: dict[Flavour, FlavourSpec] = {
    spec.name: spec
    for spec in (
        FlavourSpec(
            name=FP32,
            file="model.onnx",
            title="FP32",
            precision="fp32",
            backends=("cpu", "openvino", "cuda", "tensorrt", "tensorrt-rtx", "ort-tensorrt"),
            preference=2,
        ),
        FlavourSpec(
            name=INT8_CPU,
            file="model.int8-cpu.onnx",
            title="INT8 (CPU)",
            precision="int8",
            backends=("cpu", "openvino"),
            preference=0,
            auto_needs_speedup=True,
            must_be_marked=True,
            export_option="--int8",
            gates=("accuracy", "speed", "kernels"),
        ),
        FlavourSpec(
            name=INT8_TRT,
            file="model.int8-trt.onnx",
            title="INT8 (TensorRT)",
            precision="int8",
            backends=("tensorrt", "tensorrt-rtx", "ort-tensorrt"),
            preference=0,
            auto_needs_speedup=True,
            must_be_marked=True,
            export_option="--int8",
            gates=("accuracy", "kernels", "checklist", "library"),
        ),
        FlavourSpec(
            name=FP16,
            file="model.fp16.onnx",
            title="FP16",
            precision="fp16",
            backends=("cuda", "tensorrt", "tensorrt-rtx", "ort-tensorrt"),
            preference=1,
            export_option="--half",
            gates=("accuracy",),
        ),
    )
}
INT8_FLAVOURS: Final[tuple[Int8Flavour, ...]] = (INT8_CPU, INT8_TRT)
GATED: Final[tuple[Flavour, ...]] = tuple(name for name, spec in FLAVOURS.items() if spec.gates)


def flavours_of(backend: Backend) -> tuple[Flavour, ...]:
    """Return the flavours that `backend` runs, the preferred one first."""
    specs = [spec for spec in FLAVOURS.values() if backend in spec.backends]
    return tuple(spec.name for spec in sorted(specs, key=lambda spec: spec.preference))
