"""The TensorRT checklist: will TensorRT 8.5 to 11 build the INT8 file, with INT8 kernels?

Thirteen points that need neither TensorRT nor a GPU. The first ten and the last look at the file
and are quick: every export runs them before the file may ship. Points 11 and 12 run both INT8 files
in ONNX Runtime; `edgeseg export --check` does that for a finished bundle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, FP32, INT8_CPU, INT8_TRT, Flavour
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
from edgeseg.errors import BundleError
from edgeseg.export.graph.graph_view import GraphView
from edgeseg.export.onnxruntime_cpu.kernel_checks import check_cpu_kernels
from edgeseg.export.tensorrt.attribute_checks import check_attributes
from edgeseg.export.tensorrt.execution_checks import check_execution
from edgeseg.export.tensorrt.graph_checks import (
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
)
from edgeseg.runtime.backends.agreement_limits import minimum_agreement

TITLES = (
    "valid ONNX, opset 17, IR 8, standard domain, weights inside",
    "operators and types that TensorRT 8.5 to 11 know",
    "static shapes",
    "axes, sizes and modes where TensorRT looks for them",
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
MAX_FINDINGS = 5  # of one point; one fault may show at every node
CHECKED_FLAVOURS: tuple[Flavour, ...] = (INT8_TRT, INT8_CPU)
GRAPH_CHECKS: tuple[Callable[[GraphView], list[str]], ...] = (  # points 1 to 9
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
        number: Its number, 1 to 13.
        findings: A sentence for each fault; None where the file to look at is not there.
    """

    number: int
    findings: tuple[str, ...] | None

    @property
    def title(self) -> str:
        """What the point asks."""
        return TITLES[self.number - 1]

    @property
    def passed(self) -> bool:
        """Whether there is no fault, or nothing to look at."""
        return not self.findings


@dataclass(frozen=True)
class CheckedFiles:
    """The files that are looked at, and what they are compared with.

    Attributes:
        fp32: The content of model.onnx.
        trt: The content of model.int8-trt.onnx, None if there is none.
        cpu: The content of model.int8-cpu.onnx, None if there is none.
        golden: The golden frames, None if there are none.
        least: Percent of the golden pixels that must come out as in FP32.
        calibration: The name of each flavour's calibration in the manifest.
    """

    fp32: bytes
    trt: bytes | None
    cpu: bytes | None
    golden: GoldenFrames | None
    least: float
    calibration: dict[Flavour, str]

    @classmethod
    def of(cls, bundle: Bundle) -> CheckedFiles:
        """Return the files of a bundle.

        Raises:
            BundleError: A file is damaged.
        """
        held = {
            flavour: bundle.read(FLAVOURS[flavour].file)
            for flavour in CHECKED_FLAVOURS
            if bundle.holds(flavour)
        }
        calibration = {}
        for flavour in held:
            figures = bundle.manifest.figures.get(flavour) or {}
            if "calibration" in figures:
                calibration[flavour] = figures["calibration"]
        return cls(
            fp32=bundle.read(FLAVOURS[FP32].file),
            trt=held.get(INT8_TRT),
            cpu=held.get(INT8_CPU),
            golden=read_golden_frames(bundle),
            least=minimum_agreement(bundle, INT8_TRT),
            calibration=calibration,
        )


def run_checklist(files: CheckedFiles) -> list[ChecklistPoint]:
    """Check all points."""
    source = GraphView(files.fp32)
    if files.trt is not None:
        points = _graph_points(GraphView(files.trt), source)
    else:
        points = [ChecklistPoint(number, None) for number in range(1, 11)]
    in_cpu_file = check_cpu_kernels(files.cpu, source) if files.cpu is not None else None
    in_metadata: list[str] | None = None
    for flavour, data in zip(CHECKED_FLAVOURS, (files.trt, files.cpu)):
        if data is not None:
            calibration = files.calibration.get(flavour)
            found = check_metadata(data, flavour, files.fp32, calibration)
            in_metadata = (in_metadata or []) + found
    return [
        *points,
        _point(11, _execution_findings(files, can_run=all(point.passed for point in points[:3]))),
        _point(12, in_cpu_file),
        _point(13, in_metadata),
    ]


def run_static_checks(trt: bytes, fp32: bytes) -> list[ChecklistPoint]:
    """Check the points that need no run, of the TensorRT file alone: 1 to 10, and 13."""
    points = _graph_points(GraphView(trt), GraphView(fp32))
    return [*points, _point(13, check_metadata(trt, INT8_TRT, fp32))]


def checklist_summary(points: list[ChecklistPoint]) -> dict[str, Any]:  # Any: JSON
    """Return what the manifest says of the points."""
    return {
        "passed": [point.number for point in points if point.findings == ()],
        "findings": {str(point.number): list(point.findings) for point in points if point.findings},
    }


def _graph_points(view: GraphView, source: GraphView) -> list[ChecklistPoint]:
    """Check points 1 to 10."""
    points = [_point(number, check(view)) for number, check in enumerate(GRAPH_CHECKS, 1)]
    return [*points, _point(len(points) + 1, check_coverage(view, source))]


def _execution_findings(files: CheckedFiles, *, can_run: bool) -> list[str] | None:
    if files.trt is None:
        return None
    if not can_run:
        return ["it was not run, since it is no graph that can be"]
    if files.golden is None:
        return ["the bundle has no golden frames to run"]
    return check_execution(GraphView(files.trt), files.golden, files.least)


def _point(number: int, findings: Sequence[str] | None) -> ChecklistPoint:
    if findings is None:
        return ChecklistPoint(number, None)
    shown, more = tuple(findings[:MAX_FINDINGS]), len(findings) - MAX_FINDINGS
    return ChecklistPoint(number, (*shown, f"and {more} more of the kind") if more > 0 else shown)


def check_metadata(
    data: bytes, flavour: Flavour, fp32: bytes, calibration: str | None = None
) -> list[str]:
    """Point 13: a file says what it is and comes from, and the other engine's runtime refuses it.

    Args:
        data: The file.
        fp32: The content of model.onnx.
        calibration: What the manifest calls the file's calibration.
    """
    view, file, findings = GraphView(data), FLAVOURS[flavour].file, []
    metadata = view.metadata
    if metadata.get(SOURCE_KEY) != hashlib.sha256(fp32).hexdigest():
        findings.append(f"{file} does not name the digest of the model.onnx beside it")
    method = metadata.get(CALIBRATION_KEY)
    if not method or method != (calibration or method):
        findings.append(f"{file} does not say how it was calibrated, or not as the manifest does")
    number = metadata.get(CALIBRATION_FRAMES_KEY, "")
    if not number.isdecimal() or int(number) < 1:
        findings.append(f"{file} does not say with how many frames it was calibrated")
    for key, kind in ((FLOAT_TENSORS_KEY, "tensors"), (FLOAT_CONVOLUTIONS_KEY, "convolutions")):
        if view.listed_names(key) is None:
            findings.append(f"{file} does not list the {kind} that it leaves float")
    made_as = metadata.get(FLAVOUR_KEY)
    if made_as != flavour:
        findings.append(f"{file} says that it is {made_as or 'nothing'} instead of {flavour}")
    for runtime in CHECKED_FLAVOURS:
        try:
            scan_onnx(data, name=file, flavour=runtime)
        except BundleError as error:
            if runtime == flavour:
                findings.append(f"its own runtime refuses it: {error}")
        else:
            if runtime != flavour:
                findings.append(f"a runtime that wants {runtime} would take {file}")
    return findings
