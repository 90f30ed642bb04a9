"""Our builder with the real TensorRT for RTX and with its stand-in: the same graphs are built and
refused, with the same sentence but for NVIDIA's own words.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.runtime.backends.cuda_runtime import has_gpu
from tests.fakes.build_outcomes import outcomes
from tests.fakes.cudart_fake import FakeCuda
from tests.fakes.real_modules import RTX, needed, run_tool
from tests.fakes.tensorrt_fake import RTX_VERSIONS, FakeTensorRT
from tests.helpers.bundles import int8_cpu, marked, network
from tests.helpers.engines import int8_trt

PLACE = re.compile(r"(?:\w+ '[^']*', )?node -?\d+, code \d+")
# What a file says of the shapes of its outputs is not asked: they follow from its input.
BUILT = ["fp16", "fp32", "fp32.claim", "int8-trt"]
# What both say of each: the beginning, and the places that the parser names.
REFUSED: dict[str, tuple[str, list[str]]] = {
    "int8-trt.cpu": (
        "cannot read model.int8-trt.onnx (Invalid Node - bias_DequantizeLinear",
        ["DequantizeLinear 'bias_DequantizeLinear', node 0, code 6"],
    ),
    "fp32.unknown": (
        "cannot read model.onnx (",
        ["Unheard 'clipped', node 4, code 6", "Of 'probability', node 12, code 6"],
    ),
    "fp32.unconnected": ("cannot read model.onnx (", ["Conv 'copied', node 3, code 5"]),
    "fp32.cut": ("cannot read model.onnx (", ["node -1, code 3"]),
    "fp32.empty": ("reads area, entropy, image, mask, score of model.onnx differently", []),
    "fp32.sizes": ("reads entropy, image, mask of model.onnx differently from its manifest", []),
    "fp32.batch": ("reads entropy, image, mask, score of model.onnx differently", []),
}
WITHOUT_DRIVER: dict[str, tuple[str, list[str]]] = {
    "fp32.current": ("cannot build model.onnx (", [])
}


def half() -> onnx.ModelProto:
    """The tiny network with its last convolution in FP16."""
    model = network()
    graph = model.graph
    place = next(index for index, node in enumerate(graph.node) if node.output[0] == "logits")
    graph.node[place].input[0], graph.node[place].output[0] = "pooled.half", "logits.half"
    graph.node.insert(
        place + 1, helper.make_node("Cast", ["logits.half"], ["logits"], to=TensorProto.FLOAT)
    )
    graph.node.insert(
        place, helper.make_node("Cast", ["pooled"], ["pooled.half"], to=TensorProto.FLOAT16)
    )
    for value in graph.initializer:
        if value.name in ("weight", "bias"):
            halves = numpy_helper.to_array(value).astype(np.float16)
            value.CopyFrom(numpy_helper.from_array(halves, value.name))
    onnx.checker.check_model(model, full_check=True)
    return model


def graphs() -> dict[str, bytes]:
    """The files, by what becomes of them."""
    unknown, unconnected, sizes, batch, claim = (network() for _ in range(5))
    unknown.graph.node[4].op_type, unknown.graph.node[12].op_type = "Unheard", "Of"
    unconnected.graph.node[3].input[0] = "nowhere"
    sizes.graph.input[0].type.tensor_type.shape.dim[1].dim_value *= 2
    claim.graph.output[1].type.tensor_type.shape.dim[1].dim_value += 1
    batch.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    plain = network().SerializeToString()
    return {
        "fp32": plain,
        "fp16": marked(half(), "fp16"),
        "int8-trt": int8_trt(),
        "int8-trt.cpu": int8_cpu(network()),
        "fp32.unknown": unknown.SerializeToString(),
        "fp32.unconnected": unconnected.SerializeToString(),
        "fp32.cut": plain[:100],
        "fp32.empty": b"",
        "fp32.sizes": sizes.SerializeToString(),
        "fp32.batch": batch.SerializeToString(),
        "fp32.claim": claim.SerializeToString(),
        "fp32.current": plain,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("graphs")
    for name, data in graphs().items():
        (made / f"{name}.onnx").write_bytes(data)
    return made


def check(version: str, found: dict[str, str]) -> None:
    """Hold what became of the graphs against what is expected."""
    driver, built, expected = has_gpu(), set(BUILT), dict(REFUSED)
    if driver:
        built.add("fp32.current")
    else:
        expected |= WITHOUT_DRIVER
    if version == RTX_VERSIONS[0] and not driver:  # it builds INT8 only where there is a driver
        built.remove("int8-trt")
        expected["int8-trt"] = ("cannot build model.int8-trt.onnx (", [])
    assert {name for name, outcome in found.items() if outcome == "built"} == built
    assert set(found) == built | set(expected)
    for name, (beginning, places) in expected.items():
        if name == "fp32.unknown" and version in RTX_VERSIONS[:3]:
            places = [place.replace("code 6", "code 1") for place in places]
        assert beginning in found[name], name
        assert PLACE.findall(found[name]) == places, name
        assert "\n" not in found[name]


def test_the_real_module_builds_and_refuses(folder: Path, tmp_path: Path) -> None:
    needed(RTX)
    answer = run_tool("build_outcomes", tmp_path, RTX, folder)
    check(answer["version"], answer["outcomes"])
    if not has_gpu() and answer["version"] in RTX_VERSIONS[2:]:
        assert "CUDA driver version is insufficient" in answer["outcomes"]["fp32.current"]


@pytest.mark.parametrize("version", RTX_VERSIONS)
def test_the_stand_ins_build_and_refuse_likewise(version: str, folder: Path) -> None:
    faults = set() if has_gpu() else {"no-driver"}
    check(version, outcomes(FakeTensorRT(version, FakeCuda(), faults), folder))
