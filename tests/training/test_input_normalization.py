"""Every network of a training sees its input as its weights expect it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgeseg.config import DistillConfig, validate_config
from edgeseg.methods import Batch
from edgeseg.models import Network, build_network
from edgeseg.models.model_files import read_card, save_card
from edgeseg.models.pretrained.normalization import IMAGENET, Normalization
from edgeseg.progress import NullReporter
from edgeseg.site import Site
from edgeseg.training.distill import Distillation, distill
from edgeseg.training.initial_weights import build_as_trained, build_initial_network
from edgeseg.training.model_evaluation import predict
from edgeseg.training.stages.pseudo_labelling import predict_views
from edgeseg.training.train import train
from tests.helpers.methods import config
from tests.helpers.sites import TINY, make_site

HALF = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
HALVED = "tf_mobilenetv3_small_minimal_100"  # small, and trained with 0.5 and 0.5
GRAY = np.full((64, 64, 3), 204, np.uint8)  # 0.8


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


def gray_seen_by(network: nn.Module) -> list[float]:
    """A list to which every forward pass adds what the first pixel's red is."""
    seen: list[float] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(round(float(inputs[0][0, 0, 0, 0]), 4))

    network.register_forward_pre_hook(note)
    return seen


def normalized(gray: float, normalization: Normalization) -> float:
    return round((gray - normalization.mean[0]) / normalization.std[0], 4)


@pytest.mark.parametrize("normalization", [IMAGENET, HALF])
def test_evaluation_and_pseudo_labels_take_the_networks_own(normalization: Normalization) -> None:
    network = build_network("fpn", "mobilenetv2_035", 3).eval()
    network.normalization = normalization
    seen = gray_seen_by(network)
    predict(network, [GRAY])
    predict_views(network, GRAY, 1, torch.device("cpu"))
    assert seen == [normalized(0.8, normalization)] * 2


def test_in_distillation_student_and_site_model_may_differ() -> None:
    student = build_network("fpn", HALVED, 3)
    site_model = build_network("fpn", "mobilenetv2_035", 3)
    settings = validate_config(DistillConfig, {"encoder": HALVED}, "test")
    method = Distillation(student, torch.ones(3), settings, site_model)
    frames = Batch(
        torch.full((2, 3, 64, 64), 0.8),
        torch.zeros(2, 64, 64, dtype=torch.int64),
        torch.ones(2, 64, 64, dtype=torch.bool),
    )
    by_site_model, by_average = gray_seen_by(method.source), gray_seen_by(method.teacher)
    method.step(frames, frames, 0.5)
    assert by_site_model == [normalized(0.8, IMAGENET)]
    assert by_average == [normalized(0.8, HALF)] == [0.6]


class Listener(NullReporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def test_a_run_tells_what_it_started_from_and_keeps_it_in_its_card(
    site: Site, tmp_path: Path
) -> None:
    encoder = build_network("fpn", HALVED, 3).encoder.model
    assert isinstance(encoder, nn.Module)
    save_file(encoder.state_dict(), tmp_path / "own.safetensors")
    listener = Listener()
    settings = config(
        method="suponly", encoder=HALVED, arch="fpn", steps=2, weights=f"{tmp_path}/own.safetensors"
    )
    teacher = train(site, settings, tmp_path / "teacher", report=listener)
    card = read_card(teacher.path)
    assert card.normalization == HALF
    assert card.weights_origin.startswith("the weights file own.safetensors, whose terms")
    assert [said for said in listener.said if "encoder" in said] == [
        f"note: the encoder {HALVED} comes from {card.weights_origin}"
    ]
    values = {key: value for key, value in TINY.items() if key != "rep_dim"}
    values |= {"steps": 2, "encoder": "mobilenetv2_035"}
    student = distill(
        site, validate_config(DistillConfig, values, "test"), teacher.path, tmp_path / "student"
    )
    card = read_card(student.path)
    assert card.normalization == IMAGENET
    assert card.weights_origin == "random weights"


def test_what_goes_on_from_a_run_of_before_keeps_its_normalization(
    site: Site, tmp_path: Path
) -> None:
    """A resumed run, one that starts from it, and a stage of it, all with ImageNet's."""
    settings = config(method="suponly", encoder=HALVED, arch="fpn", steps=2)
    before = train(site, settings, tmp_path / "before").path
    card = read_card(before)
    save_card(before, card.model_copy(update={"mean": IMAGENET.mean, "std": IMAGENET.std}))

    def build(init: Path | None, run: Path) -> Network:
        return build_initial_network(settings, 3, init, root=site.root, run=run)

    assert build(None, tmp_path / "new").normalization == HALF
    assert build(None, before).normalization == IMAGENET
    assert build(before, tmp_path / "new").normalization == IMAGENET
    assert build_as_trained(settings, 3, before).normalization == IMAGENET
    assert json.loads((before / "model.json").read_bytes())["mean"] == list(IMAGENET.mean)
