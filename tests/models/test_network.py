"""A network: merged branches, a frozen encoder, and gradient checkpointing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from edgeseg.errors import ConfigError, TrainError
from edgeseg.methods import METHODS, MethodContext
from edgeseg.models import Network, build_network
from tests.helpers.methods import landscape_config

VIT = "vit_tiny_patch16_224"


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
        sum(isinstance(module, torch.nn.Conv2d) for module in variant.modules())
        for variant in (network, merged)
    ]
    assert counts[1] < counts[0] if encoder == "repvgg_a0" else counts[1] == counts[0]


def method_and_network(**changes: object) -> list[Any]:  # Any: a method, and its network
    torch.manual_seed(0)
    settings = landscape_config(method="suponly", **changes)
    network = build_network(settings.arch, settings.encoder, 3, size=settings.imgsz)
    network.save_memory(
        freeze_encoder=settings.freeze_encoder, checkpointing=settings.checkpointing
    )
    return [
        METHODS["suponly"](MethodContext(network, torch.ones(3), settings, lambda: network)),
        network,
    ]


def saved_bytes(network: Network) -> int:
    """Bytes that a forward pass in training keeps for the backward pass."""
    saved: dict[int, int] = {}
    own = {parameter.data_ptr() for parameter in network.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            saved[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network.train()(torch.rand(2, 3, 64, 96)).logits.sum()
    return sum(saved.values())


@pytest.mark.parametrize(("arch", "encoder"), [("deeplabv3plus", "mobilenetv2_050"), ("dpt", VIT)])
def test_a_frozen_encoder_keeps_nothing_for_the_backward_pass(arch: str, encoder: str) -> None:
    method, network = method_and_network(arch=arch, encoder=encoder, freeze_encoder=True)
    _, trained = method_and_network(arch=arch, encoder=encoder)
    method.train()
    assert not network.encoder.training and network.decoder.training
    assert not any(feature.requires_grad for feature in network.encode(torch.rand(2, 3, 64, 96)))
    assert saved_bytes(network) < 0.6 * saved_bytes(trained)


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
    results = []
    for checkpointing in (False, True):
        _, network = method_and_network(arch=arch, encoder=encoder, checkpointing=checkpointing)
        network.train()
        torch.manual_seed(1)
        image = torch.rand(2, 3, 64, 96)
        loss = network(image).logits.square().mean()
        loss.backward()
        gradients = {
            name: parameter.grad.clone()
            for name, parameter in network.named_parameters()
            if parameter.grad is not None
        }
        results.append((loss, gradients, saved_bytes(network)))
    (loss, gradients, before), (loss_again, gradients_again, after) = results
    assert torch.equal(loss, loss_again) and gradients.keys() == gradients_again.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_again[name], gradient)
    assert after < 0.9 * before


def test_checkpointing_is_refused_where_it_cannot_be() -> None:
    with pytest.raises(
        TrainError, match=r"checkpointing is on but timm has none for this encoder; turn it off"
    ):
        build_network("unet", "hrnet_w18_small", 3).save_memory(
            freeze_encoder=False, checkpointing=True
        )
    with pytest.raises(ConfigError, match=r"freeze_encoder and checkpointing disagree"):
        landscape_config(freeze_encoder=True, checkpointing=True)
