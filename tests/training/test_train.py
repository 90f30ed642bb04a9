"""Training: every method learns, and bad numbers never reach the weights."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edgeseg.errors import DataError, EdgesegError, TrainError
from edgeseg.imaging.array_types import IGNORE
from edgeseg.methods import Batch, StepResult
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.metrics import miou
from edgeseg.models.model_files import load_model
from edgeseg.site import Frame, Site
from edgeseg.training.model_evaluation import evaluate_frames
from edgeseg.training.train import train
from tests.helpers.methods import config
from tests.helpers.sites import Messages, make_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.mark.parametrize("method", ["suponly", "mean_teacher", "cutmix_mt", "u2pl"])
def test_a_method_learns_and_leaves_all_its_results(
    site: Site, tmp_path: Path, method: str
) -> None:
    steps = 45
    settings = config(
        method=method, steps=steps, eval_every=15, encoder_lr=2e-3, decoder_lr=1e-2, ema=0.9
    )
    result = train(site, settings, tmp_path / "run")
    assert (
        result.miou > 35
    )  # three classes, one of them in two thirds of the pixels: a constant answer gives 20
    for name in (
        "weights/best.safetensors",
        "weights/last.safetensors",
        "model.json",
        "config.toml",
        "val.png",
    ):
        assert (result.path / name).stat().st_size > 0
    rows = list(csv.DictReader((result.path / "results.csv").open()))
    assert [float(row["step"]) for row in rows] == [15, 30, 45]
    assert float(rows[-1]["supervised"]) < float(rows[0]["supervised"])
    metrics = json.loads((result.path / "metrics.json").read_text())
    assert metrics["last"]["step"] == steps and set(metrics["last"]["ema"]["per_class"]) == {
        "c0",
        "c1",
        "c2",
    }
    model = load_model(result.path)
    again = miou(evaluate_frames(model, site, site.frames("val")).sum(0))
    assert again == pytest.approx(result.miou, abs=1e-6)


def test_a_loss_that_is_not_finite_stops_before_the_weights_and_names_step_and_frames(
    site: Site, tmp_path: Path
) -> None:
    with pytest.raises(TrainError, match=r"not finite at step \d+ with the frames f\d"):
        train(
            site,
            config(method="suponly", steps=40, encoder_lr=1e30, decoder_lr=1e30),
            tmp_path / "run",
        )
    for path in (tmp_path / "run" / "checkpoint").glob("*"):
        teacher = {n: t for n, t in load_file(path).items() if n.startswith("module.teacher")}
        assert teacher and all(bool(torch.isfinite(t.float()).all()) for t in teacher.values())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"encoder": "nosuchnet"}, "nosuchnet"),
        ({"arch": "nosucharch"}, "nosucharch"),
        ({"weights": "missing.safetensors"}, "does not exist"),
    ],
)
def test_what_cannot_be_built_is_said_in_a_sentence(
    site: Site, tmp_path: Path, change: dict[str, object], text: str
) -> None:
    with pytest.raises(EdgesegError, match=text):
        train(site, config(**change), tmp_path / "run")


def test_a_mask_with_a_class_the_site_does_not_have_names_the_file(
    site: Site, tmp_path: Path
) -> None:
    frames = site.frames()
    bad = site.root / "bad-mask.png"
    cv2.imwrite(str(bad), np.full((64, 64), 7, np.uint8))
    broken = Site(site.root, site.config)
    changed = [Frame(**{**vars(f), "mask": "bad-mask.png"}) if f.id == "f0" else f for f in frames]
    broken.save_frames(changed)
    try:
        with pytest.raises(DataError, match=r"bad-mask.png holds class 7 but the site has 3"):
            train(broken, config(method="suponly"), tmp_path / "run")
    finally:
        site.save_frames(frames)


def test_labels_reach_the_footage_that_a_training_reads_unless_they_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path / "site")
    shown, *_ = site.frames("labelled")
    for frame in site.frames("unlabelled"):  # all show the same
        site.path(frame.image).write_bytes(site.path(shown.image).read_bytes())
    known: list[bool] = []
    step = PseudoLabel.step

    def watched(
        self: PseudoLabel, labelled: Batch, unlabelled: Batch | None, progress: float
    ) -> StepResult:
        assert unlabelled is not None
        known.append(bool((unlabelled.masks != IGNORE).any()))
        return step(self, labelled, unlabelled, progress)

    monkeypatch.setattr(PseudoLabel, "step", watched)
    for name, propagation in (("with", True), ("without", False)):
        said = Messages()
        settings = config(method="cutmix_mt", steps=2, propagation=propagation)
        run = train(site, settings, tmp_path / name, report=said).path
        assert known == [propagation] * len(known) and len(known) >= 2
        assert (run / "propagated.png").exists() is propagation
        assert any("could be carried to" in line for line in said.lines) is propagation
        known.clear()
