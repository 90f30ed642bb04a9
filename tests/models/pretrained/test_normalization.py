"""Input normalization by encoder: timm's own, kept in the card, ImageNet's in cards without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseg.models import build_network
from edgeseg.models.model_files import ModelCard, load_model, read_card, save_card, save_weights
from edgeseg.models.pretrained.normalization import IMAGENET, Normalization, encoder_normalization
from tests.helpers.bundles import CLASSES

HALF = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
HALVED = "tf_mobilenetv3_small_minimal_100"  # small, and trained with 0.5 and 0.5


@pytest.mark.parametrize(
    ("encoder", "normalization"),
    [
        ("mobilenetv2_100", IMAGENET),
        ("resnet50", IMAGENET),
        ("vit_small_patch14_dinov2", IMAGENET),
        ("tf_efficientnet_lite0", HALF),
        ("efficientnet_lite0", IMAGENET),  # other weights of the same network
        ("vit_tiny_patch16_224", HALF),
        ("mobilevit_xs", ((0, 0, 0), (1, 1, 1))),
        ("stdc1_050", IMAGENET),
        ("no_such_encoder", IMAGENET),
    ],
)
def test_an_encoder_has_the_normalization_of_its_weights(
    encoder: str, normalization: Normalization
) -> None:
    assert encoder_normalization(encoder) == normalization


def saved_run(run: Path, encoder: str) -> None:
    network = build_network("fpn", encoder, len(CLASSES))
    assert network.normalization == encoder_normalization(encoder)
    mean, std = network.normalization
    card = ModelCard(
        arch="fpn", encoder=encoder, classes=CLASSES, height=64, width=96, mean=mean, std=std
    )
    save_card(run, card)
    save_weights(run, "best", network)


def test_a_saved_model_keeps_its_normalization(tmp_path: Path) -> None:
    saved_run(tmp_path, HALVED)
    assert read_card(tmp_path).mean == HALF.mean
    assert load_model(tmp_path).module.normalization == HALF


@pytest.mark.parametrize("written", [False, True])
def test_a_run_from_before_keeps_that_of_imagenet(tmp_path: Path, written: bool) -> None:
    """All had it, whatever the encoder, and cards of all but the first versions say so."""
    saved_run(tmp_path, HALVED)
    path = tmp_path / "model.json"
    card = json.loads(path.read_bytes())
    del card["mean"], card["std"]
    if written:
        card |= {"mean": IMAGENET.mean, "std": IMAGENET.std}
    path.write_text(json.dumps(card))
    assert load_model(tmp_path).module.normalization == IMAGENET
