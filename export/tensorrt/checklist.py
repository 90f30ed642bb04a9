"""Will TensorRT 8.5 to 11 build the INT8 file, with INT8 kernels? Thirteen points that need neither
TensorRT nor a GPU.

The first ten and the last look at the file and are quick: every export runs them before the file
may ship. Points 11 and 12 run both INT8 files in ONNX Runtime; `edgeseg export --check` does that
for a finished bundle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeseg.bundle import FLAVOURS, Bundle, Flavour
from edgeseg.bundle.flavours import FP32, INT8_CPU, INT8_TRT
from edgeseg.bundle.golden_frames import GoldenFrames, read_golden_frames
from edgeseg.bundle.graph_metadata import (
    CALIBRATION_FRAMES_KEY,
    CALIBRATION_KEY,
    FLAVOUR_KEY,
    FLOAT_CONVOLUTIONS_KEY,
    FLOAT_TENSORS_KEY,
    SOURCE_KEY,
)
from edgeseg.bundle.onnx_scan import scan_onnx
from edgeseg.errors import BundleError, ExportError
from edgeseg.export.tensorrt.execution_checks import check_cpu_kernels, check_execution
from edgeseg.export.tensorrt.graph_checks import (
    GraphView,
    check_attributes,
    check_byte_casts,
    check_model,
    check_operators,
    check_shapes,
)
from edgeseg.export.tensorrt.qdq_checks import (
    check_convolutions,
    check_coverage,
    check_fusions,
    check_qdq_pairs,
    check_qdq_parameters,
    listed_names,
)
from edgeseg.runtime.backends.tensorrt.engine_acceptance import minimum_agreement

TITLES = (
    "valid ONNX, opset 17, IR 8, standard domain, weights inside",
    "operators and types that TensorRT 8.5 to 11 know",
    "static shapes",
    "axes, sizes and modes where TensorRT 8 looks for them",
    "uint8 in and out through a Cast",
    "scales and zero points: signed, symmetric, per tensor or channel",
    "whole Q/DQ pairs, none at a bias or an output",
    "INT8 convolutions: codes in, FP32 weights and biases",
    "no fusion broken: activations, residual Add, Concat",
    "all convolutions in INT8 but those stated",
    "layers as integers compute them, masks as in FP32",
    "the CPU file: convolutions on codes, few conversions",
    "metadata; each runtime refuses the other's file",
)
MAX_FINDINGS = 5  # findings of one point; one fault may show at every node
CHECKED: tuple[Flavour, ...] = (INT8_TRT, INT8_CPU)
GRAPH_CHECKS: tuple[Callable[[GraphView], list[str]], ...] = (
    check_model,
    check_operators,
    check_shapes,
    check_attributes,
    check_byte_casts,
    check_qdq_parameters,
    check_qdq_pairs,
    check_convolutions,
    check_fusions,
)


@dataclass(frozen=True)
class ChecklistPoint:
    """One point of the list.

    Attributes:
        number: 1 to 13.
        findings: a sentence for each fault; None where the file to look at is not there.
    """

    number: int
    findings: tuple[str, ...] | None

    @property
    def title(self) -> str:
        return TITLES[self.number - 1]

    @property
    def passed(self) -> bool:
        return not self.findings


@dataclass(frozen=True)
class CheckedFiles:
    """What is looked at.

    Attributes:
        fp32, trt, cpu: the graphs; an INT8 file that is not there is None.
        golden: frames with their masks in FP32; None where there are none.
        least: percent of the golden pixels that must come out as in FP32.
        calibration: of each flavour, as the manifest names it.
    """

    fp32: bytes
    trt: bytes | None
    cpu: bytes | None
    golden: GoldenFrames | None
    least: float
    calibration: dict[Flavour, str]

    @classmethod
    def of(cls, bundle: Bundle) -> CheckedFiles:
        """Those of a bundle.

        Raises:
            ExportError: it holds no INT8 file.
            BundleError: a file is damaged.
        """
        held = {name: bundle.read(FLAVOURS[name].file) for name in CHECKED if bundle.holds(name)}
        if not held:
            raise ExportError(
                f"{bundle.path} holds no INT8 file to check; make one with `edgeseg export --int8`"
            )
        figures = bundle.manifest.figures
        names = {
            name: found["calibration"]
            for name in held
            if "calibration" in (found := figures.get(name) or {})
        }
        fp32 = bundle.read(FLAVOURS[FP32].file)
        return cls(
            fp32,
            held.get(INT8_TRT),
            held.get(INT8_CPU),
            read_golden_frames(bundle),
            minimum_agreement(bundle, INT8_TRT),
            names,
        )


def run_checklist(files: CheckedFiles) -> list[ChecklistPoint]:
    """All points."""
    source = GraphView(files.fp32)
    points = (
        _static(GraphView(files.trt), source)
        if files.trt is not None
        else [ChecklistPoint(n, None) for n in range(1, 11)]
    )
    ran: list[str] | None = None
    if files.trt is not None:
        ran = ["the bundle has no golden frames to run"]
        if not all(point.passed for point in points[:3]):
            ran = ["it was not run, since it is no graph that can be"]
        elif files.golden is not None:
            ran = check_execution(GraphView(files.trt), files.golden, files.least)
    fused = check_cpu_kernels(files.cpu, source) if files.cpu is not None else None
    told = []
    for flavour, data in zip(CHECKED, (files.trt, files.cpu)):
        if data is not None:
            told += check_metadata(data, flavour, files.fp32, files.calibration.get(flavour))
    return [*points, _point(11, ran), _point(12, fused), _point(13, told)]


def run_static_checks(trt: bytes, fp32: bytes) -> list[ChecklistPoint]:
    """The points that need no run, of the TensorRT file alone: 1 to 10, and 13."""
    return [
        *_static(GraphView(trt), GraphView(fp32)),
        _point(13, check_metadata(trt, INT8_TRT, fp32)),
    ]


def checklist_summary(points: list[ChecklistPoint]) -> dict[str, Any]:  # Any: JSON
    """What the manifest says of the points."""
    return {
        "passed": [point.number for point in points if point.findings == ()],
        "findings": {str(point.number): list(point.findings) for point in points if point.findings},
    }


def _static(view: GraphView, source: GraphView) -> list[ChecklistPoint]:
    found = [_point(number, look(view)) for number, look in enumerate(GRAPH_CHECKS, 1)]
    return [*found, _point(len(found) + 1, check_coverage(view, source))]


def _point(number: int, findings: list[str] | None) -> ChecklistPoint:
    if findings is None:
        return ChecklistPoint(number, None)
    more = len(findings) - MAX_FINDINGS
    return ChecklistPoint(
        number, (*findings[:MAX_FINDINGS], *([f"and {more} more of the kind"] if more > 0 else []))
    )


def check_metadata(
    data: bytes, flavour: Flavour, fp32: bytes, calibration: str | None = None
) -> list[str]:
    """13: a file says what it was made for and from, and the other engine's runtime refuses it.

    Args:
        calibration: what the manifest calls it.
    """
    view, name, found = GraphView(data), FLAVOURS[flavour].file, []
    said = view.metadata
    if said.get(SOURCE_KEY) != hashlib.sha256(fp32).hexdigest():
        found.append(f"{name} does not name the digest of the model.onnx beside it")
    method = said.get(CALIBRATION_KEY)
    if not method or method != (calibration or method):
        found.append(f"{name} does not say how it was calibrated, or not as the manifest does")
    number = said.get(CALIBRATION_FRAMES_KEY, "")
    if not number.isdecimal() or int(number) < 1:
        found.append(f"{name} does not say with how many frames it was calibrated")
    for key, what in ((FLOAT_TENSORS_KEY, "tensors"), (FLOAT_CONVOLUTIONS_KEY, "convolutions")):
        if listed_names(view, key) is None:
            found.append(f"{name} does not list the {what} that it leaves float")
    if said.get(FLAVOUR_KEY) != flavour:
        found.append(
            f"{name} says that it is {said.get(FLAVOUR_KEY) or 'nothing'} instead of {flavour}"
        )
    for other in CHECKED:
        try:
            scan_onnx(data, name=name, flavour=other)
        except BundleError as error:
            if other == flavour:
                found.append(f"its own runtime refuses it: {error}")
        else:
            if other != flavour:
                found.append(f"a runtime that wants {other} would take {name}")
    return found
