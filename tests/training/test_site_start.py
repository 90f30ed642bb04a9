"""What an edge model takes over from the site model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgeseg.config import DistillConfig, TrainConfig, validate_config
from edgeseg.errors import ConfigError
from edgeseg.models import Network, build_network
from edgeseg.models.model_files import LoadedModel, ModelCard
from edgeseg.models.pretrained.normalization import Normalization
from edgeseg.training.initial_weights import build_initial_network
from edgeseg.training.site_start import can_take_over
from tests.helpers.bundles import CLASSES

SIZE = (64, 96)
HALF = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def site_model(arch: str, encoder: str) -> LoadedModel:
    torch.manual_seed(1)
    network = build_network(arch, encoder, len(CLASSES), size=SIZE).eval()
    card = ModelCard(
        arch=arch,
        encoder=encoder,
        classes=CLASSES,
        height=SIZE[0],
        width=SIZE[1],
        mean=HALF.mean,
        std=HALF.std,
        weights_origin="weights of a friend",
    )
    return LoadedModel(network, card)


def begin(folder: Path, arch: str, encoder: str, source: LoadedModel) -> Network:
    settings = DistillConfig(arch=arch, encoder=encoder, weights="site", imgsz=SIZE)
    return build_initial_network(
        settings, len(CLASSES), None, root=folder, run=folder / "run", site_model=source
    ).eval()


def test_networks_of_the_same_names_begin_as_the_site_model(tmp_path: Path) -> None:
    source = site_model("lightfpn", "mobilenetv2_035")
    network = begin(tmp_path, "lightfpn", "mobilenetv2_035", source)
    image = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        torch.testing.assert_close(network(image).logits, source.module(image).logits)
    assert network.normalization == HALF
    assert network.weights_origin.endswith("mobilenetv2_035, which began with weights of a friend")


@pytest.mark.parametrize("encoder", ["mobilenetv2_050", "mobilenetv2_035"])
def test_another_decoder_reads_the_same_or_a_narrower_encoder(tmp_path: Path, encoder: str) -> None:
    source = site_model("fpn", "mobilenetv2_050")
    network = begin(tmp_path, "lightfpn", encoder, source)
    own, given = (
        {
            tuple(row.flatten().tolist())
            for row in part.encoder.state_dict()["model.blocks.6.0.conv_dw.weight"]
        }
        for part in (network, source.module)
    )
    assert own <= given and (own < given) == (encoder != source.card.encoder)
    assert network.normalization == HALF


def test_another_family_begins_with_imagenet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def without_download(
        arch: str, encoder: str, classes: int, weights: str, *_: object
    ) -> Network:
        asked.append(weights)
        return build_network(arch, encoder, classes)

    monkeypatch.setattr("edgeseg.training.initial_weights.build_network", without_download)
    network = begin(tmp_path, "fpn", "mobilenetv2_035", site_model("fpn", "resnet18"))
    assert asked == ["imagenet"] and network.normalization != HALF


@pytest.mark.parametrize(
    ("encoder", "source", "is_so"),
    [
        ("resnet50", "resnet50", True),
        ("mobilenetv2_050", "mobilenetv2_100", True),
        ("mobilenetv2_100", "mobilenetv2_050", False),
        ("mobilenetv2_100", "mobilenetv2_110d", False),  # deeper as well
        ("mobilenetv2_100", "resnet50", False),
    ],
)
def test_which_encoders_can_begin_with_which(encoder: str, source: str, is_so: bool) -> None:
    assert can_take_over(encoder, source) is is_so


def test_a_site_model_has_none_to_take_over_from() -> None:
    with pytest.raises(ConfigError, match=r"weights = site is for \[distill\]"):
        validate_config(TrainConfig, {"weights": "site"}, "test")


def test_another_dilation_keeps_its_own_decoder(tmp_path: Path) -> None:
    """At half the size the branches are half as wide, and their weights mean other things."""
    source = site_model("deeplabv3plus", "mobilenetv2_035")
    network = begin(tmp_path, "deeplabv3plus", "mobilenetv2_035", source)
    assert same_decoder(network, source.module)
    source.module.atrous_rates = (6, 12, 18)
    other = begin(tmp_path, "deeplabv3plus", "mobilenetv2_035", source)
    assert network.atrous_rates != (6, 12, 18) and not same_decoder(other, source.module)


def same_decoder(network: Network, other: Network) -> bool:
    pairs = zip(network.decoder.state_dict().values(), other.decoder.state_dict().values())
    return all(torch.equal(*pair) for pair in pairs)
