"""Pseudo-labels are what the site model says, with unreliable pixels left open."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edgeseg.adapt.drift_check import check_drift, count_labelled_pixels
from edgeseg.models import build_network
from edgeseg.models.model_files import ModelCard, load_model, save_card, save_weights
from edgeseg.site import Site
from edgeseg.training.model_evaluation import predict
from tests.helpers.rounds import CLASSES, HEIGHT, WIDTH, make_site, read, scene


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path / "site")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A site model that was never trained but has opinions."""
    torch.manual_seed(0)
    module = build_network("unet", "resnet10t", 3)
    module.classifier.weight.data *= 30
    path = tmp_path / "run"
    card = {
        "arch": "unet",
        "encoder": "resnet10t",
        "classes": CLASSES,
        "height": HEIGHT,
        "width": WIDTH,
    }
    save_card(path, ModelCard.model_validate(card))
    save_weights(path, "best", module)
    return path


def test_the_reliable_pixels_carry_the_models_classes(
    site: Site, run: Path, tmp_path: Path
) -> None:
    frames = site.frames("unlabelled")
    statistics = check_drift(site, run, frames, tmp_path / "out", alpha=0.2)
    model = load_model(run)
    for frame in frames:
        mask = cv2.imread(str(tmp_path / "out" / f"{frame.id}.png"), cv2.IMREAD_UNCHANGED)
        seed = int(frame.id.rpartition("-")[2], 16)
        expected = predict(model.module, [scene(seed)[0]])[0][0].numpy()
        assert mask is not None and mask.shape == expected.shape
        assert np.array_equal(mask[mask != 255], expected[mask != 255])
    assert statistics.frames == len(frames)
    assert read(tmp_path / "out/statistics.json")["kl"] == statistics.kl
    assert sum(statistics.predicted.values()) == pytest.approx(1, abs=1e-3)


def test_about_a_share_alpha_is_left_open(site: Site, run: Path, tmp_path: Path) -> None:
    frames = site.frames("unlabelled")
    kept = [
        check_drift(site, run, frames, tmp_path / f"{alpha}", alpha=alpha).kept
        for alpha in (0.1, 0.3, 0.5)
    ]
    assert kept == pytest.approx([0.9, 0.7, 0.5], abs=0.06)


def test_what_a_crop_does_not_see_counts_for_nothing(site: Site, run: Path, tmp_path: Path) -> None:
    card = load_model(run).card
    save_card(run, card.model_copy(update={"width": HEIGHT // 2, "fit": "crop"}))
    frames = site.frames("unlabelled")
    statistics = check_drift(site, run, frames, tmp_path / "out", alpha=0.3)
    assert statistics.kept == pytest.approx(0.7, abs=0.08)


def test_a_start_after_a_kill_predicts_only_what_is_missing(
    site: Site, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = site.frames("unlabelled")
    whole = check_drift(site, run, frames, tmp_path / "whole", alpha=0.2)
    calls: list[int] = []

    class Killed(BaseException):
        pass

    def count(*args: object, **rest: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise Killed
        return predict(*args, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr("edgeseg.adapt.drift_check.predict", count)
    with pytest.raises(Killed):
        check_drift(site, run, frames, tmp_path / "out", alpha=0.2)
    assert check_drift(site, run, frames, tmp_path / "out", alpha=0.2) == whole
    assert len(calls) == 1 + len(frames)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }


def test_the_labels_histogram_counts_the_labelled_split(site: Site) -> None:
    seeds = [int(frame.id.rpartition("-")[2], 16) for frame in site.frames("labelled")]
    assert len(seeds) == 4
    assert count_labelled_pixels(site) == pytest.approx(
        sum(np.bincount(scene(seed)[1].ravel(), minlength=3) for seed in seeds)
    )
