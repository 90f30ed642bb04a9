"""Vision transformers with DPT: sizes, position embeddings, and what is exported of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from onnx import ModelProto
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from edgeseg.bundle.onnx_scan import scan_onnx
from edgeseg.config import DistillConfig, validate_config
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.graph_view import GraphView
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.onnxruntime_cpu.kernel_report import float_convolutions, integer_convolutions
from edgeseg.export.quantization.quantizer import calibrate, quantize
from edgeseg.export.tensorrt.graph_checks import check_operators
from edgeseg.models import MEAN, STD, Network, build_network
from edgeseg.models.model_files import ModelCard, load_model, save_card, save_weights
from edgeseg.site import Site
from edgeseg.training.distill import distill
from edgeseg.training.train import train
from tests.helpers.exporting import make_site
from tests.helpers.methods import LANDSCAPE, landscape_config
from tests.helpers.quantization import FLAVOURS

VIT = "vit_tiny_patch16_224"
DINO = "vit_small_patch14_dinov2"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("encoders") / "site", val=3, unlabelled=4)


def test_a_transformer_resizes_images_of_another_size_to_its_own() -> None:
    network = build_network("dpt", VIT, 3, size=(64, 96)).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 50, 120)).logits.shape == (1, 3, 16, 24)


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers of 4 blocks instead of 12, which are written in a third of the time."""
    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda name, **options: create(name, depth=4, **options)
    )


def positions(network: Network) -> Tensor:
    found: Tensor = network.state_dict()["encoder.model.pos_embed"]
    return found


def model_at(size: tuple[int, int], name: str, run: Path, site: Site) -> Network:
    """A random network, saved as a run at 56x70 or 64x96, and built again for `size`."""
    trained = (56, 70) if "14" in name else (64, 96)
    torch.manual_seed(0)
    network = build_network("dpt", name, 3, size=trained)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3 / parameter[0].numel() ** 0.5)
    torch.nn.init.normal_(positions(network))
    card = ModelCard(
        arch="dpt", encoder=name, classes=site.config.classes, height=trained[0], width=trained[1]
    )
    save_card(run, card)
    save_weights(run, "best", network)
    return load_model(run, size=size).module


def kinds(model: ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(("name", "size"), [(DINO, (84, 56)), (VIT, (96, 64))])
def test_an_exported_transformer_has_constant_positions_and_agrees_at_another_size(
    shallow: None, tmp_path: Path, site: Site, name: str, size: tuple[int, int]
) -> None:
    network = model_at(size, name, tmp_path / "run", site)
    with torch.no_grad():  # so that every class wins somewhere
        logits = network(torch.randn(1, 3, *size)).logits
        network.classifier.weight.div_(logits.std((0, 2, 3)).view(-1, 1, 1, 1))
        bias = network.classifier.bias
        assert bias is not None
        bias.sub_(logits.mean((0, 2, 3))).div_(logits.std((0, 2, 3)))
    graph = canonicalize_names(lower(export_network(network, *size)))
    assert kinds(graph).count("Resize") == 3  # between the levels of the decoder
    assert "Shape" not in kinds(graph) and "If" not in kinds(graph)
    interface = Interface(height=size[0], width=size[1], classes=3, mean=MEAN, std=STD)
    data = wrap_network(graph, interface).SerializeToString()
    assert scan_onnx(data, name="model.onnx").opset == 17
    image = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        logits = network(
            (torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255 - mean) / std
        ).logits
        mask = F.interpolate(logits, size, mode="bilinear").argmax(1).numpy()
        probability = logits.softmax(1)
        entropy = -(probability * probability.clamp(min=1e-30).log()).sum(1).numpy() / np.log(3)
    assert len(np.unique(mask)) > 1 and entropy.std() > 1e-3
    found = open_session(data, 1).run(["mask", "entropy", "area"], {"image": image})
    assert np.mean(found[0] == mask) > 0.999
    np.testing.assert_allclose(found[1], entropy, atol=1e-4)
    np.testing.assert_allclose(
        found[2][0], np.bincount(mask.ravel(), minlength=3) / mask.size, atol=0.05
    )
    if name != VIT:
        return  # one transformer is enough for what follows
    calibrated = calibrate(graph, interface, list(image), threads=1)
    for flavour in FLAVOURS:
        model = quantize(calibrated, interface, flavour)
        transposed = {node.name for node in model.graph.node if node.op_type == "ConvTranspose"}
        assert transposed and transposed <= set(float_convolutions(model))
        assert integer_convolutions(model) > 0
        open_session(model.SerializeToString(), 1).run(None, {"image": image})
    assert check_operators(GraphView(model.SerializeToString())) == [], "TensorRT 8.5 knows all"


def test_positions_are_those_of_the_trained_grid_resampled(tmp_path: Path, site: Site) -> None:
    same = model_at((64, 96), VIT, tmp_path / "run", site)
    saved = load_file(tmp_path / "run" / "weights" / "best.safetensors")["encoder.model.pos_embed"]
    assert torch.equal(positions(same), saved)
    turned = positions(load_model(tmp_path / "run", size=(96, 64)).module)  # as many patches
    assert turned.shape == saved.shape and not torch.equal(turned, saved)
    torch.testing.assert_close(turned[:, 0], saved[:, 0])  # the class token has no place
    larger = positions(load_model(tmp_path / "run", size=(128, 192)).module)
    image = larger[:, 1:].reshape(1, 8, 12, -1).permute(0, 3, 1, 2)
    small = saved[:, 1:].reshape(1, 4, 6, -1).permute(0, 3, 1, 2)
    assert float((F.avg_pool2d(image, 2) - small).abs().mean()) < 0.3 * float(small.abs().mean())


def test_a_student_learns_from_a_transformer_of_another_size(site: Site, tmp_path: Path) -> None:
    settings = landscape_config(arch="dpt", encoder=VIT, method="suponly", imgsz=[48, 80], steps=2)
    teacher = train(site, settings, tmp_path / "teacher")
    values = {key: value for key, value in LANDSCAPE.items() if key != "rep_dim"} | {"steps": 2}
    result = distill(
        site, validate_config(DistillConfig, values, "test"), teacher.path, tmp_path / "student"
    )
    assert np.isfinite(result.metrics["last"]["ema"]["miou"])
