"""Networks with transposed convolutions: these stay float in both INT8 files, which say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn
from typer.testing import CliRunner

from edgeseg.bundle import Bundle
from edgeseg.bundle.graph_metadata import FLOAT_CONVOLUTIONS_KEY
from edgeseg.cli.app import app
from edgeseg.config import ExportConfig
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.exporter import export
from edgeseg.export.quantization.torch_operators import OPERATORS
from edgeseg.export.tensorrt.checklist import CheckedFiles, run_checklist
from edgeseg.export.tensorrt.layer_normalization import write_out_layer_norms
from edgeseg.models import Network
from tests.helpers.exporting import make_run, make_site

CONFIG = ExportConfig(
    int8=True,
    max_drop=100,
    max_class_drop=100,
    min_speedup=0,
    calibration_frames=3,
    threads=1,
    ask_tensorrt=False,
)


class Encoder(nn.Module):
    """Two maps, at strides 2 and 4."""

    out_channels = (16, 32)

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.ModuleList([_block(3, 16, 2), _block(16, 32, 2)])

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.model[0](image)
        return [fine, self.model[1](fine)]


class Decoder(nn.Module):
    """A LinkNet in small: a transposed convolution with its batch norm, one in groups, one bare."""

    def __init__(self) -> None:
        super().__init__()
        up = nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1, bias=False)
        self.up = nn.Sequential(_block(32, 32), up, nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        self.grouped = nn.ConvTranspose2d(16, 16, 2, stride=2, groups=4)
        self.last = _block(16, 16, 2)

    def forward(self, features: list[Tensor]) -> Tensor:
        fine, coarse = features
        added: Tensor = self.last(self.grouped(self.up(coarse) + fine))
        return added


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def small_network(*arguments: object, **options: object) -> Network:
    torch.manual_seed(0)
    return Network(Encoder(), Decoder(), nn.Conv2d(16, 3, 1), 0)


def test_both_int8_files_are_exported_and_pass_their_own_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.helpers.exporting.build_network", small_network)
    monkeypatch.setattr("edgeseg.models.model_files.build_network", small_network)
    bundle = exported(tmp_path / "site", "linknet", "small")
    points = run_checklist(CheckedFiles.of(bundle))
    assert not [point for point in points if not point.passed]
    monkeypatch.chdir(tmp_path / "site")
    done = CliRunner().invoke(app, ["export", "--check", str(bundle.path)])
    assert done.exit_code == 0, done.output


def exported(root: Path, arch: str, encoder: str) -> Bundle:
    """A bundle with both INT8 files, whose transposed convolutions are float and listed."""
    site = make_site(root, val=3, unlabelled=3)
    result = export(site, CONFIG, make_run(site, 1, arch, encoder))
    assert not result.refused
    bundle = Bundle.open(result.bundle)
    for name in ("model.int8-cpu.onnx", "model.int8-trt.onnx"):
        model = onnx.load_model_from_string(bundle.read(name))
        transposed = {node.name for node in model.graph.node if node.op_type == "ConvTranspose"}
        listed = {entry.key: entry.value for entry in model.metadata_props}[FLOAT_CONVOLUTIONS_KEY]
        assert len(transposed) >= 2 and transposed <= set(json.loads(listed))
        quantized = {node.output[0] for node in model.graph.node if "Dequantize" in node.op_type}
        plain = [node for node in model.graph.node if node.op_type == "Conv"]
        assert sum(node.input[1] in quantized for node in plain) >= 3, "the others are integers"
    return bundle


def test_layer_normalization_is_written_out_for_tensorrt() -> None:
    rng = np.random.default_rng(0)
    shape = (1, 3, 4, 8)
    constants = {name: rng.normal(size=(4, 8)).astype(np.float32) for name in ("scale", "bias")}
    for inputs in (["image", "scale", "bias"], ["image", "scale"]):
        node = helper.make_node("LayerNormalization", inputs, ["y"], "norm", axis=-2, epsilon=0.1)
        model = graph_of(node, shape, constants)
        written = write_out_layer_norms(model, {"y": shape})
        assert "LayerNormalization" not in {node.op_type for node in written.graph.node}
        image = rng.normal(size=shape).astype(np.float32)
        whole, parts = (
            open_session(each.SerializeToString(), 1).run(None, {"image": image})[0]
            for each in (model, written)
        )
        np.testing.assert_allclose(whole, parts, atol=1e-5)


def graph_of(
    node: NodeProto,
    shape: tuple[int, ...],
    constants: dict[str, NDArray[np.float32]],
    output: list[str] | None = None,
) -> ModelProto:
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output or shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


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
    model = graph_of(node, image.shape, {"w": weight, "b": bias}, ["N", "C", "H", "W"])
    expected = open_session(model.SerializeToString(), 1).run(None, {"image": image})[0]
    inputs = [torch.from_numpy(value) for value in (image, weight, bias)]
    computed = OPERATORS["ConvTranspose"](inputs, attributes).numpy()
    np.testing.assert_allclose(computed, expected, atol=1e-5)
