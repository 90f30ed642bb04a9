"""What TensorRT's inspector says is counted alike in both of its dialects, and believed only as far
as it goes.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from edgeseg.runtime.backends.tensorrt.layer_inspection import LayerInspection, read_inspection

OLD_DIALECT: dict[str, Any] = {  # Any: as json holds it
    "Layers": [
        {
            "Name": "a",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Format/Datatype": "Row major Int8 format"}],
            "Outputs": [{"Format/Datatype": "Int8"}],
        },
        {
            "Name": "b",
            "LayerType": "Reformat",
            "Inputs": [{"Format/Datatype": "Row major linear UInt8"}],
            "Outputs": [{"Format/Datatype": "Row major linear FP32"}],
        },
        {
            "Name": "c",
            "LayerType": "gemm",
            "ParameterType": "Convolution",
            "Inputs": [{"Format/Datatype": "FP16"}],
            "Outputs": [{"Format/Datatype": "FP16"}],
        },
    ],
    "Bindings": ["image"],
}
NEW_DIALECT: dict[str, Any] = {  # Any: as json holds it
    "Layers": [
        {
            "Name": "a",
            "LayerType": "Convolution",
            "Inputs": [{"Format": "NCHW32", "Datatype": "INT8"}],
            "Outputs": [{"Format": "NCHW32", "Datatype": "INT8"}],
        },
        {
            "Name": "b",
            "LayerType": "Reformat",
            "Inputs": [{"Format": "Linear", "Datatype": "UINT8"}],
            "Outputs": [{"Format": "Linear", "Datatype": "FP32"}],
        },
        {
            "Name": "c",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Format": "Linear", "Datatype": "FP16"}],
            "Outputs": [{"Format": "Linear", "Datatype": "FP16"}],
        },
    ],
    "I/O Tensors": ["image"],
}


@pytest.mark.parametrize("text", [OLD_DIALECT, NEW_DIALECT])
def test_both_dialects_of_the_inspector_count_alike(text: dict[str, Any]) -> None:
    found = read_inspection(json.dumps(text))
    assert found == LayerInspection(
        layers=3,
        int8=1,
        convolutions=2,
        int8_convolutions=1,
        float_convolutions=("c",),
        reformats=("b",),
    )
    assert (
        LayerInspection.load(json.loads(json.dumps(dataclasses.asdict(found)))) == found
        and not found.runs_in_float()
    )
    assert found.warnings(1) == [] and found.warnings(None) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"Layers": 3}', '{"Layers": ["Conv_0", "Conv_1"]}']
)
def test_what_the_inspector_does_not_tell_is_no_reason_to_refuse(text: str) -> None:
    assert (
        read_inspection(text) == LayerInspection()
        and not read_inspection(text).runs_in_float()
        and "not known" in read_inspection(text).warnings(3)[0]
    )


def test_convolutions_inside_fused_nodes_are_not_held_against_an_engine() -> None:
    layers = [
        *OLD_DIALECT["Layers"][2:],
        {"Name": "{ForeignNode[Conv_1...Conv_9]}", "LayerType": "Myelin"},
    ]
    found = read_inspection(json.dumps({"Layers": layers}))
    assert found.opaque == 1 and not found.runs_in_float() and found.warnings(9) == []
