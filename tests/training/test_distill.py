"""Distillation of an edge model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgeseg.config import DistillConfig, validate_config
from edgeseg.errors import TrainError
from edgeseg.models.model_files import load_model
from edgeseg.site import Site
from edgeseg.training.distill import distill
from edgeseg.training.train import train
from tests.helpers.methods import config
from tests.helpers.sites import TINY, make_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


def test_distillation_starts_from_the_site_model_and_remembers_it(
    site: Site, tmp_path: Path
) -> None:
    teacher = train(
        site,
        config(
            method="suponly", steps=45, encoder_lr=2e-3, decoder_lr=1e-2, eval_every=45, ema=0.9
        ),
        tmp_path / "teacher",
    )
    plain = {key: value for key, value in TINY.items() if key != "rep_dim"}
    settings = validate_config(
        DistillConfig,
        plain | {"steps": 45, "eval_every": 45, "encoder_lr": 2e-3, "decoder_lr": 1e-2, "ema": 0.9},
        "test",
    )
    student = distill(site, settings, teacher.path, tmp_path / "student")
    assert student.miou > 35
    again = distill(site, settings, None, tmp_path / "student", resume=True)
    assert again.miou == student.miou
    with pytest.raises(TrainError, match="begun with teacher"):
        distill(site, settings, tmp_path / "other", tmp_path / "student", resume=True)
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 64, 64, generator=rng)
    logits = load_model(student.path).module(image).logits
    assert logits.shape == (1, 3, 16, 16)
