"""Training with a frozen encoder, which stays as it was, and resumes exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from edgeseg.config import TrainConfig
from edgeseg.models import build_network
from edgeseg.site import Site
from edgeseg.training.train import train
from tests.helpers.exporting import make_site
from tests.helpers.methods import landscape_config


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("encoders") / "site", val=3, unlabelled=4)


class Stopped(Exception):
    pass


class StopAfterThreeSteps:
    """A progress reporter that stops a run after its third step."""

    steps = 0

    def start(self, title: str, total: int | None) -> None: ...
    def say(self, message: str) -> None: ...
    def stop(self) -> None: ...
    def advance(self, amount: int = 1, note: str = "") -> None:
        self.steps += amount
        if self.steps == 3:
            raise Stopped


def checkpointed_encoders(run: Path) -> dict[str, Tensor]:
    newest = max((run / "checkpoint").glob("step*"))
    return {name: tensor for name, tensor in load_file(newest).items() if ".encoder." in name}


def initial_decoder(settings: TrainConfig) -> dict[str, Tensor]:
    torch.manual_seed(settings.seed)
    state = build_network(
        settings.arch, settings.encoder, 3, settings.weights, 0, settings.imgsz
    ).state_dict()
    return {
        name: tensor
        for name, tensor in state.items()
        if name.startswith("decoder.") and "weight" in name
    }


@pytest.mark.parametrize("method", ["suponly", "u2pl"])
def test_a_frozen_encoder_stays_as_it_was_and_the_run_resumes_exactly(
    site: Site, tmp_path: Path, method: str
) -> None:
    weights = tmp_path / "w.safetensors"
    start = timm.create_model("mobilenetv2_050").state_dict()
    start["bn1.running_mean"] += 0.1
    save_file(start, weights)
    settings = landscape_config(
        method=method, freeze_encoder=True, weights=str(weights), warmup=0, ramp=0
    )
    whole = train(site, settings, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(site, settings, tmp_path / "cut", report=StopAfterThreeSteps())
    train(site, settings, tmp_path / "cut", resume=True)
    uninterrupted, resumed = (
        load_file(tmp_path / name / "weights" / "last.safetensors") for name in ("whole", "cut")
    )
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in uninterrupted.items())
    encoders = checkpointed_encoders(whole.path)
    assert len(encoders) > 500 and not any(name.startswith("optimizer") for name in encoders)
    for name, tensor in encoders.items():  # of student and teacher, statistics of batch norms too
        assert torch.equal(tensor, start[name.split(".encoder.model.")[1]]), name
    decoder = initial_decoder(settings)
    assert any(not torch.equal(uninterrupted[name], tensor) for name, tensor in decoder.items())
