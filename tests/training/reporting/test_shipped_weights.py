"""The last averaged weights ship, unless the training fell by more than chance."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from edgeseg.metrics import Counts, miou
from edgeseg.models.model_files import load_model
from edgeseg.site import Site
from edgeseg.training.model_evaluation import evaluate_frames
from edgeseg.training.train import train
from edgeseg.training.training_checkpoint import TrainingState
from edgeseg.training.validation import Validation
from tests.helpers.methods import config
from tests.helpers.sites import make_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


def planted(*shares: Sequence[int]) -> Callable[..., Counts]:
    """A stand-in for `Validation.count`: for every call the right ones of ten pixels by frame."""
    calls = iter(shares)

    def count(_: Validation, network: object, places: Sequence[int], device: object) -> Counts:
        rows = [[[hit, 10 - hit, 0], [0, 0, 0], [0, 0, 0]] for hit in next(calls)]
        return np.array(rows, np.int64)

    return count


def shipped(
    site: Site, run: Path, monkeypatch: pytest.MonkeyPatch, *shares: Sequence[int]
) -> tuple[dict[str, object], bool]:
    """The line "best" of metrics.json, and whether the shipped weights are the last ones."""
    monkeypatch.setattr(Validation, "count", planted(*shares))
    result = train(site, config(method="suponly", steps=5, eval_every=1), run)
    last, best = (load_file(run / "weights" / f"{name}.safetensors") for name in ("last", "best"))
    best_line: dict[str, object] = json.loads((result.path / "metrics.json").read_text())["best"]
    return best_line, all(bool((last[name] == best[name]).all()) for name in last)


def test_a_training_that_fell_ships_the_end_of_its_best_stretch(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve = [[6, 6, 6], [7, 7, 7], [8, 8, 8], [2, 2, 2], [2, 2, 2]]
    best, is_last = shipped(site, tmp_path, monkeypatch, *curve, [8, 8, 8])
    assert best == {"step": 3, "miou": 80.0} and not is_last


def test_a_higher_figure_that_the_choice_of_frames_explains_ships_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve = [[6, 6, 6], [7, 7, 7], [9, 7, 8], [7, 7, 7], [8, 8, 7]]
    best, is_last = shipped(site, tmp_path, monkeypatch, *curve, [9, 7, 8])
    assert best["step"] == 5 and best["miou"] == pytest.approx(100 * 23 / 30) and is_last


def test_the_shipped_figure_is_that_of_the_shipped_weights_on_all_val_frames(
    site: Site, tmp_path: Path
) -> None:
    settings = config(method="suponly", steps=4, eval_every=2, eval_frames=1, eval_student=True)
    result = train(site, settings, tmp_path)
    counts = evaluate_frames(load_model(tmp_path), site, site.frames("val"))
    assert result.miou == pytest.approx(miou(counts.sum(0)), abs=1e-9)
    metrics = result.metrics
    assert metrics["val_frames"] == {"all": 3, "while_training": 1}
    assert metrics["interval"]["frames"] == 3
    assert metrics["interval"]["low"] <= result.miou <= metrics["interval"]["high"]
    assert {"ema", "student"} <= metrics["last"].keys()
    head, *rows = (tmp_path / "results.csv").read_text().splitlines()
    assert "miou_student" in head and len(rows) == 2


def test_one_lucky_evaluation_is_no_candidate() -> None:
    state, candidates = TrainingState(0), []
    for step, value in enumerate([50.0, 53.0, 49.0, 56.0, 52.0, 52.0], 1):
        state.step = step
        if state.add_evaluation({"miou_ema": value}):
            candidates.append(step)
    # the means are 50, 51.5, 50.7, 52.7, 52.3 and 53.3
    assert candidates == [1, 2, 4, 6] and state.best == pytest.approx(160 / 3)
