"""Networks with transposed convolutions: these stay float in both INT8 files, which say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from edgeseg.bundle import Bundle
from edgeseg.bundle.graph_metadata import FLOAT_CONVOLUTIONS_KEY
from edgeseg.cli.app import app
from edgeseg.config import ExportConfig
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.exporter import export
from edgeseg.export.quantization.torch_operators import OPERATORS
from edgeseg.export.tensorrt.checklist import CheckedFiles, run_checklist
from tests.helpers.exporting import make_run, make_site

CONFIG = ExportConfig(
    int8=True, max_drop=100, max_class_drop=100, min_speedup=0, calibration_frames=3, threads=1
)


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transformer of 4 narrow blocks, which is exported in seconds."""
    create = timm.create_model

    def small(name: str, **options: Any) -> Any:  # Any: timm's options and models
        narrow: dict[str, Any] = {"depth": 4, "embed_dim": 48} if name.startswith("vit") else {}
        return create(name, **narrow, **options)

    monkeypatch.setattr(timm, "create_model", small)


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize(
    ("arch", "encoder"), [("linknet", "resnet10t"), ("dpt", "vit_tiny_patch16_224")]
)
def test_both_int8_files_are_exported_and_pass_their_own_checks(
    arch: str, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path / "site", val=3, unlabelled=3)
    run = make_run(site, 1, arch, encoder)
    result = export(site, CONFIG, run)
    assert not result.refused
    bundle = Bundle.open(result.bundle)
    for name in ("model.int8-cpu.onnx", "model.int8-trt.onnx"):
        model = onnx.load_model_from_string(bundle.read(name))
        transposed = [node.name for node in model.graph.node if node.op_type == "ConvTranspose"]
        listed = {entry.key: entry.value for entry in model.metadata_props}[FLOAT_CONVOLUTIONS_KEY]
        assert len(transposed) >= 2 and set(transposed) <= set(json.loads(listed))
        quantized = {node.output[0] for node in model.graph.node if "Dequantize" in node.op_type}
        in_integers = [
            node
            for node in model.graph.node
            if node.op_type == "Conv" and node.input[1] in quantized
        ]
        assert len(in_integers) > 4, "the others are integers"
    points = run_checklist(CheckedFiles.of(bundle))
    assert not [point for point in points if not point.passed]
    monkeypatch.chdir(site.root)
    done = CliRunner().invoke(app, ["export", "--check", str(bundle.path)])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"strides": [2, 2], "pads": [0, 1, 1, 0], "output_padding": [1, 0]},
        {"strides": [1, 2], "group": 2, "dilations": [2, 1]},
    ],
    ids=str,
)
def test_training_of_the_int8_file_runs_them_as_onnx_does(
    attributes: dict[str, Any],  # Any: ONNX attributes have many types
) -> None:
    rng = np.random.default_rng(0)
    groups = attributes.get("group", 1)

    def noise(*shape: int) -> NDArray[np.float32]:
        return rng.normal(size=shape).astype(np.float32)

    image, weight, bias = noise(1, 4, 5, 6), noise(4, 3, 4, 4), noise(3 * groups)
    node = helper.make_node("ConvTranspose", ["image", "w", "b"], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, image.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    expected = open_session(model.SerializeToString(), 1).run(None, {"image": image})[0]
    inputs = [torch.from_numpy(value) for value in (image, weight, bias)]
    computed = OPERATORS["ConvTranspose"](inputs, attributes).numpy()
    np.testing.assert_allclose(computed, expected, atol=1e-5)
