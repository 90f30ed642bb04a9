"""Encoders and decoders: pairs that work or are refused, ViT with DPT, frozen encoders,
checkpointing, export.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from onnx import ModelProto
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from typer.testing import CliRunner

from edgeseg.bundle import Bundle
from edgeseg.bundle.onnx_scan import scan_onnx
from edgeseg.cli.app import app
from edgeseg.config import DistillConfig, TrainConfig, validate_config
from edgeseg.errors import ConfigError, TrainError
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.torch_export import export_network
from edgeseg.methods import METHODS, MethodContext
from edgeseg.models import MEAN, STD, Network, build_network
from edgeseg.models.model_files import ModelCard, load_model, save_card, save_weights
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.site import Site
from edgeseg.training.distill import distill
from edgeseg.training.train import train
from tests.helpers.exporting import make_site, picture

VIT = "vit_tiny_patch16_224"
DINO = "vit_small_patch14_dinov2"
REGISTERS = "vit_small_patch14_reg4_dinov2"
TINY = {
    "encoder": "mobilenetv2_050",
    "weights": "none",
    "imgsz": [64, 96],
    "batch": 2,
    "batch_unlabelled": 2,
    "steps": 4,
    "eval_every": 2,
    "checkpoint_every": 2,
    "rep_dim": 16,
    "workers": 1,
    "precision": "32",
    "device": "cpu",
}


def config(**changes: object) -> TrainConfig:
    return validate_config(TrainConfig, TINY | changes, "test")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("encoders") / "site", val=3, unlabelled=4)


@pytest.mark.parametrize(
    ("arch", "encoder"),
    [
        ("deeplabv3plus", "mobilenetv2_035"),
        ("unet", "mobilenetv2_035"),
        ("fpn", "convnext_atto"),
        ("dpt", VIT),
    ],
)
def test_decoding_the_encoded_image_is_the_forward_pass(arch: str, encoder: str) -> None:
    network = build_network(arch, encoder, 3, "none", 8, (64, 96)).eval()
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        output = network(image)
        features = network.encode(image)
        torch.testing.assert_close(network.decode(features), output.logits, rtol=0, atol=0)
        assert all(torch.equal(a, b) for a, b in zip(features, output.features))
        assert not torch.equal(network.decode([2 * feature for feature in features]), output.logits)


@pytest.mark.parametrize(
    ("arch", "encoder", "stride"),
    [
        ("deeplabv3plus", "resnet18", 4),
        ("unet", "mobilenetv2_050", 1),
        ("fpn", "mobilenetv3_small_050", 4),
        ("deeplabv3plus", "efficientnet_b0", 4),
        ("unet", "convnext_atto", 1),
        ("fpn", "regnety_002", 4),
        ("deeplabv3plus", "repvgg_a0", 4),
        ("segformer", "mobileone_s0", 4),
        ("upernet", "edgenext_xx_small", 4),
        ("fpn", "swin_tiny_patch4_window7_224", 4),
        ("fpn", "maxvit_rmlp_pico_rw_256", 4),
        ("dpt", VIT, 4),
        ("dpt", "vit_tiny_patch16_dinov3_qkvb", 4),
    ],
)
def test_encoders_of_many_families_train(arch: str, encoder: str, stride: int) -> None:
    torch.manual_seed(0)
    network = build_network(arch, encoder, 3, size=(64, 96))
    logits = network(torch.rand(2, 3, 64, 96)).logits
    assert logits.shape == (2, 3, 64 // stride, 96 // stride)
    F.cross_entropy(logits, torch.zeros(logits[:, 0].shape, dtype=torch.long)).backward()  # type: ignore[no-untyped-call]
    gradients = [
        parameter.grad for parameter in network.encoder.parameters() if parameter.grad is not None
    ]
    assert gradients and all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


@pytest.mark.parametrize(
    ("arch", "encoder", "size", "text"),
    [
        ("unet", "resnet17", None, "no encoder resnet17; did you mean resnet18"),
        ("unett", "resnet18", None, "no arch unett; did you mean unet"),
        ("unet", "xyz", None, "take one such as resnet50"),
        (
            "deeplabv3plus",
            "ghostnet_050",
            None,
            "ghostnet_050 .it cannot be dilated.; take arch fpn or unet",
        ),
        ("deeplabv3plus", VIT, (64, 64), "maps all have one size.; set arch to dpt"),
        (
            "dpt",
            "resnet18",
            None,
            "cannot use the encoder resnet18 .*such as vit_small_patch14_dinov2",
        ),
        (
            "unet",
            "resnet18",
            (100, 64),
            "multiples of 32, and 100x64 is not; set imgsz to 96x64 or 128x64",
        ),
        (
            "deeplabv3plus",
            "resnet18",
            (56, 64),
            "multiples of 16, and 56x64 is not; set imgsz to 48x64 or 64x64",
        ),
        ("dpt", DINO, (64, 64), "multiples of 14, and 64x64 is not; set imgsz to 56x56 or 70x70"),
        ("pan", "resnet18", (32, 32), "cannot take images of 32x32 .*take another imgsz"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence_that_says_what_would(
    arch: str, encoder: str, size: tuple[int, int] | None, text: str
) -> None:
    with pytest.raises(TrainError, match=text) as caught:
        build_network(arch, encoder, 3, size=size)
    assert "\n" not in str(caught.value)


def test_weights_of_networks_that_timm_takes_apart_are_found(tmp_path: Path) -> None:
    whole = timm.create_model("convnext_atto")
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    network = build_network("fpn", "convnext_atto", 3, str(tmp_path / "w.safetensors"))
    inside, wanted = (
        network.encoder.state_dict(),
        whole.state_dict()["stages.1.blocks.0.conv_dw.weight"],
    )
    assert torch.equal(inside["model.stages_1.blocks.0.conv_dw.weight"], wanted)
    with pytest.raises(TrainError, match=r"name the encoder it was made for"):
        build_network("fpn", "resnet18", 3, str(tmp_path / "w.safetensors"))
    with pytest.raises(TrainError, match=r"name the encoder it was made for"):
        build_network("dpt", VIT, 3, str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("name", [DINO, REGISTERS])
def test_weights_of_dinov2_load_under_the_names_of_timm_and_of_meta(
    tmp_path: Path, name: str
) -> None:
    torch.manual_seed(0)
    state = timm.create_model(name, num_classes=0, img_size=70).state_dict()  # 5 by 5 patches
    save_file(state, tmp_path / "timm.safetensors")
    width = state["cls_token"].shape[2]
    meta = {key: tensor for key, tensor in state.items() if key != "reg_token"} | {
        "mask_token": torch.zeros(1, width)
    }
    if "reg_token" in state:
        meta["register_tokens"] = state["reg_token"]
        meta["pos_embed"] = torch.cat([torch.ones(1, 1, width), state["pos_embed"]], 1)
        meta["cls_token"] = state["cls_token"] - 1
    save_file(meta, tmp_path / "meta.safetensors")
    same = build_network(
        "dpt", name, 3, str(tmp_path / "timm.safetensors"), size=(70, 70)
    ).encoder.state_dict()
    assert all(torch.equal(same[f"model.{key}"], tensor) for key, tensor in state.items())
    one = build_network(
        "dpt", name, 3, str(tmp_path / "timm.safetensors"), size=(56, 84)
    ).encoder.state_dict()
    two = build_network(
        "dpt", name, 3, str(tmp_path / "meta.safetensors"), size=(56, 84)
    ).encoder.state_dict()
    assert one["model.pos_embed"].shape[1] in (24, 25)
    for key, tensor in one.items():
        torch.testing.assert_close(two[key], tensor)


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
    """A random network that was saved as a run at 56x70, or 64x96, and is built again for `size`."""
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


@pytest.mark.parametrize("encoder", ["repvgg_a0", "mobilenetv2_035"])
def test_branches_are_merged_for_inference_only(encoder: str) -> None:
    torch.manual_seed(0)
    network = build_network("fpn", encoder, 3)
    image = torch.rand(4, 3, 64, 96)
    with torch.no_grad():
        for _ in range(20):  # statistics of batch norms
            network.train()(image)
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        merged = network.eval().reparameterized()
        torch.testing.assert_close(
            merged(image).logits, network(image).logits, atol=1e-4, rtol=1e-4
        )
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    counts = [
        sum(isinstance(m, torch.nn.Conv2d) for m in each.modules()) for each in (network, merged)
    ]
    assert counts[1] < counts[0] if encoder == "repvgg_a0" else counts[1] == counts[0]


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


def methods(**changes: object) -> list[Any]:  # Any: a method, and what `forward` gives
    torch.manual_seed(0)
    settings = config(method="suponly", **changes)
    network = build_network(settings.arch, settings.encoder, 3, size=settings.imgsz)
    network.save_memory(
        freeze_encoder=settings.freeze_encoder, checkpointing=settings.checkpointing
    )
    return [
        METHODS["suponly"](MethodContext(network, torch.ones(3), settings, lambda: network)),
        network,
    ]


class Stop(Exception):
    pass


class Watcher:
    """Stops a run after its third step."""

    done = 0

    def start(self, title: str, total: int | None) -> None: ...
    def say(self, message: str) -> None: ...
    def stop(self) -> None: ...
    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        if self.done == 3:
            raise Stop


def encoder_of(run: Path) -> dict[str, Tensor]:
    newest = max((run / "checkpoint").glob("step*"))
    return {name: tensor for name, tensor in load_file(newest).items() if ".encoder." in name}


@pytest.mark.parametrize("method", ["suponly", "u2pl"])
def test_a_frozen_encoder_stays_as_it_was_and_the_run_resumes_exactly(
    site: Site, tmp_path: Path, method: str
) -> None:
    weights = tmp_path / "w.safetensors"
    start = timm.create_model("mobilenetv2_050").state_dict()
    start["bn1.running_mean"] += 0.1
    save_file(start, weights)
    settings = config(method=method, freeze_encoder=True, weights=str(weights), warmup=0, ramp=0)
    whole = train(site, settings, tmp_path / "whole")
    with pytest.raises(Stop):
        train(site, settings, tmp_path / "cut", report=Watcher())
    train(site, settings, tmp_path / "cut", resume=True)
    mine, theirs = (
        load_file(tmp_path / name / "weights" / "last.safetensors") for name in ("whole", "cut")
    )
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())
    inside = encoder_of(whole.path)
    assert len(inside) > 500 and not any(name.startswith("optimizer") for name in inside)
    for name, tensor in inside.items():  # of student and teacher, statistics of batch norms too
        assert torch.equal(tensor, start[name.split(".encoder.model.")[1]]), name
    assert any(not torch.equal(mine[name], tensor) for name, tensor in load_start(settings).items())


def load_start(settings: TrainConfig) -> dict[str, Tensor]:
    torch.manual_seed(settings.seed)
    state = build_network(
        settings.arch, settings.encoder, 3, settings.weights, 0, settings.imgsz
    ).state_dict()
    return {
        name: tensor
        for name, tensor in state.items()
        if name.startswith("decoder.") and "weight" in name
    }


def kept_bytes(network: Network) -> int:
    """What a forward pass in training keeps for the backward pass."""
    kept: dict[int, int] = {}
    inner = {parameter.data_ptr() for parameter in network.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in inner:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network.train()(torch.rand(2, 3, 64, 96)).logits.sum()
    return sum(kept.values())


@pytest.mark.parametrize(("arch", "encoder"), [("deeplabv3plus", "mobilenetv2_050"), ("dpt", VIT)])
def test_a_frozen_encoder_keeps_nothing_for_the_backward_pass(arch: str, encoder: str) -> None:
    method, network = methods(arch=arch, encoder=encoder, freeze_encoder=True)
    _, trained = methods(arch=arch, encoder=encoder)
    method.train()
    assert not network.encoder.training and network.decoder.training
    assert not any(feature.requires_grad for feature in network.encode(torch.rand(2, 3, 64, 96)))
    assert kept_bytes(network) < 0.6 * kept_bytes(trained)


@pytest.mark.parametrize(
    ("arch", "encoder"),
    [
        ("deeplabv3plus", "mobilenetv2_050"),
        ("unet", "resnet18"),
        ("fpn", "convnext_atto"),
        ("dpt", VIT),
    ],
)
def test_checkpointing_gives_the_same_loss_and_gradients_for_less_memory(
    arch: str, encoder: str
) -> None:
    found = []
    for checkpointing in (False, True):
        _, network = methods(arch=arch, encoder=encoder, checkpointing=checkpointing)
        network.train()
        torch.manual_seed(1)
        image = torch.rand(2, 3, 64, 96)
        loss = network(image).logits.square().mean()
        loss.backward()
        gradients = {
            name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None
        }
        found.append((loss, gradients, kept_bytes(network)))
    (loss, gradients, before), (again, same, after) = found
    assert torch.equal(loss, again) and gradients.keys() == same.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(same[name], gradient)
    assert after < 0.9 * before


def test_checkpointing_is_refused_where_it_cannot_be() -> None:
    with pytest.raises(
        TrainError, match=r"checkpointing is on but timm has none for this encoder; turn it off"
    ):
        build_network("unet", "hrnet_w18_small", 3).save_memory(
            freeze_encoder=False, checkpointing=True
        )
    with pytest.raises(ConfigError, match=r"freeze_encoder and checkpointing disagree"):
        config(freeze_encoder=True, checkpointing=True)


def test_a_student_learns_from_a_transformer_of_another_size(site: Site, tmp_path: Path) -> None:
    settings = config(arch="dpt", encoder=VIT, method="suponly", imgsz=[48, 80], steps=2)
    teacher = train(site, settings, tmp_path / "teacher")
    values = {key: value for key, value in TINY.items() if key != "rep_dim"} | {"steps": 2}
    result = distill(
        site, validate_config(DistillConfig, values, "test"), teacher.path, tmp_path / "student"
    )
    assert np.isfinite(result.metrics["last"]["ema"]["miou"])


def test_a_run_of_train_is_exported_without_its_representation_head(
    site: Site, tmp_path: Path
) -> None:
    run = train(
        site,
        config(method="u2pl", steps=6, eval_every=6, warmup=0),
        tmp_path / "runs" / "train" / "exp1",
    )
    assert any("rep_head" in name for name in load_file(run.path / "weights" / "best.safetensors"))
    out = tmp_path / "bundle"
    command = [
        "export",
        str(run.path),
        "--int8",
        "--output",
        str(out),
        "--max-drop",
        "100",
        "--min-speedup",
        "0",
    ]
    command += ["--max-class-drop", "100"]
    command += ["--set", "export.calibration_frames=2", "--set", "export.threads=1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(site.root)
        result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    bundle = Bundle.open(out)
    assert {"model.onnx", "model.int8-cpu.onnx"} <= set(bundle.manifest.files)
    assert b"rep_head" not in bundle.read("model.onnx")
    with open_runner(out, backend="cpu", precision="int8", threads=1) as device:
        assert device(picture(0)[0][None]).mask.shape == (1, 64, 96)
