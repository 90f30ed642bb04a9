"""Point 12 of the checklist finds what ONNX Runtime does not run in integers."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from edgeseg.export.onnxruntime_cpu.kernel_report import KernelReport, inspect_kernels
from edgeseg.export.tensorrt.checklist import CheckedFiles, run_checklist
from tests.helpers.checklist import Plant, constant, giver, integer, set_constant


def float_convolution(model: ModelProto) -> None:
    node = integer(model, depthwise=True)
    back = giver(model, node.input[1])
    codes, scale = constant(model, back.input[0]), constant(model, back.input[1])
    set_constant(model, "planted", codes * scale[:, None, None, None].astype(np.float32))
    node.input[:] = [giver(model, giver(model, node.input[0]).input[0]).input[0], "planted"]


def output_without_codes(model: ModelProto) -> None:
    node = integer(model, depthwise=True)
    there = next(
        one
        for one in model.graph.node
        if one.op_type == "QuantizeLinear" and one.input[0] in node.output
    )
    back = next(
        one
        for one in model.graph.node
        if one.op_type == "DequantizeLinear" and there.output[0] in one.input
    )
    node.output[0] = back.output[0]
    model.graph.node.remove(there)
    model.graph.node.remove(back)


@pytest.mark.parametrize("plant", [float_convolution, output_without_codes])
def test_a_convolution_of_the_cpu_file_that_lost_its_kernel_is_found(
    files: CheckedFiles, plant: Plant
) -> None:
    assert files.cpu is not None
    model = onnx.load_model_from_string(files.cpu)
    plant(model)
    points = run_checklist(dataclasses.replace(files, trt=None, cpu=model.SerializeToString()))
    assert [point.number for point in points if point.findings is None] == list(range(1, 12))
    assert points[11].findings and "on codes instead of" in points[11].findings[0]


def test_needless_codes_in_the_cpu_file_are_found(
    files: CheckedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def many(data: bytes) -> KernelReport:
        kernels = inspect_kernels(data)
        return dataclasses.replace(kernels, conversions=kernels.conversions + 4)

    monkeypatch.setattr("edgeseg.export.onnxruntime_cpu.kernel_checks.inspect_kernels", many)
    found = run_checklist(dataclasses.replace(files, trt=None))[11].findings
    assert found and "Q/DQ nodes" in found[0]
