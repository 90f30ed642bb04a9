"""Encoders and decoders by name: pairs that work train, and what does not fit is refused."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from edgeseg.errors import TrainError
from edgeseg.models import build_network

VIT = "vit_tiny_patch16_224"
DINO = "vit_small_patch14_dinov2"


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
    loss = F.cross_entropy(logits, torch.zeros(logits[:, 0].shape, dtype=torch.long))
    loss.backward()  # type: ignore[no-untyped-call]
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
