"""Encoders and decoders: pairs that work or are refused, ViT with DPT, frozen encoders, checkpointing, export."""

from __future__ import annotations

import pytest
import torch

from edgeseg.models import build


@pytest.mark.parametrize("arch", ["deeplabv3plus", "unet", "fpn"])
def test_decoding_the_encoded_image_is_the_forward_pass(arch: str) -> None:
    network = build(arch, "mobilenetv2_035", 3, "none", 8).eval()
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        output = network(image)
        features = network.encode(image)
        torch.testing.assert_close(network.decode(features), output.logits, rtol=0, atol=0)
        assert all(torch.equal(a, b) for a, b in zip(features, output.features))
        assert not torch.equal(network.decode([2 * feature for feature in features]), output.logits)
