"""Predictions to start from: at the frame's size, from the model that has seen most labels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeseg.atomic_files import write_json
from edgeseg.imaging.image_codec import read_image
from edgeseg.labelling.site_models import open_best_model
from edgeseg.labelling.site_models.best_model import models_best_first
from edgeseg.labelling.starting_masks import StartingMasks
from edgeseg.labelling.worth import build_queue
from edgeseg.models import build_network
from edgeseg.models.model_files import ModelCard, save_card, save_weights
from edgeseg.site import Site
from tests.helpers.sites import Messages, make_site

SIZE = (32, 64)


def add_run(site: Site, verb: str, *, classes: int = 3, age: float = 0) -> Path:
    """A finished run with random weights, `age` seconds old."""
    run = site.make_run_folder(verb)
    specs = (*site.config.classes, *site.config.classes)[:classes]
    specs = tuple(spec.model_copy(update={"name": f"c{n}"}) for n, spec in enumerate(specs))
    card = ModelCard(
        arch="deeplabv3plus", encoder="test_resnet", classes=specs, height=SIZE[0], width=SIZE[1]
    )
    network = build_network("deeplabv3plus", "test_resnet", classes, "none", 0, SIZE)
    save_card(run, card)
    save_weights(run, "best", network)
    write_json(run / "metrics.json", {"miou": 1.0})
    then = (run / "metrics.json").stat().st_mtime - age
    os.utime(run / "metrics.json", (then, then))
    return run


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def test_a_site_without_a_model_has_nothing_to_start_from(site: Site) -> None:
    assert StartingMasks(site).of(site.frames()[0]) is None


def test_a_prediction_has_the_size_of_its_frame(site: Site) -> None:
    add_run(site, "train")
    masks, frame = StartingMasks(site), site.frames()[0]
    start = masks.of(frame)
    assert start is not None and start.model == "runs/train/exp1"
    assert start.mask.shape == start.entropy.shape == (frame.height, frame.width)
    assert start.mask.max() < 3 and 0 <= start.entropy.min() <= start.entropy.max() <= 1
    masks.close()
    again = masks.of(frame)
    assert again is not None and np.array_equal(again.mask, start.mask)


def test_the_newest_finished_run_leads(site: Site) -> None:
    edge, trained = add_run(site, "distill", age=50), add_run(site, "train", age=100)
    assert models_best_first(site) == [edge, trained]
    newer = add_run(site, "train")
    assert models_best_first(site) == [newer, edge]
    (newer / "metrics.json").unlink()
    assert models_best_first(site) == [edge, trained]


def test_models_that_cannot_be_used_are_passed_over_with_a_word(site: Site) -> None:
    add_run(site, "train", age=100)
    add_run(site, "distill", classes=4)
    told = Messages()
    with open_best_model(site, told) as model:
        assert model is not None and model.name == "runs/train/exp1"
    assert "going on without runs/distill/exp1: " in told.lines[0]
    assert "other classes" in told.lines[0]


def test_figures_are_kept_and_made_anew_for_another_model(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(site, "train", age=10)
    first = build_queue(site)
    tables = {path.name for path in (site.root / "cache/worth").iterdir()}
    assert len(tables) == 2 and "pixels-1" in tables
    monkeypatch.setattr(
        "edgeseg.labelling.worth.frame_table.read_frame_image", lambda *a: pytest.fail("read again")
    )
    assert build_queue(site) == first
    monkeypatch.undo()
    add_run(site, "train")
    build_queue(site)
    assert len(list((site.root / "cache/worth").iterdir())) == 3


def test_queues_need_no_torch(site: Site) -> None:
    """As on a machine with the device's packages only: no run can be opened, pixels remain."""
    program = f"""
import sys, importlib.util
for name in ("torch", "torchvision", "timm"):
    sys.modules[name] = None
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "torch" else find(name, *rest)
from edgeseg.labelling.starting_masks import StartingMasks
from edgeseg.labelling.worth import build_queue, needs
from edgeseg.site import Site
site = Site.open({str(site.root)!r})
print(len(build_queue(site)), len(needs(site)) > 0, StartingMasks(site).of(site.frames()[0]))
"""
    add_run(site, "train")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["5", "True", "None"], done.stderr


def test_pictures_are_read_as_they_are_stored(site: Site) -> None:
    frame = site.frames()[0]
    path = site.path(frame.image)
    assert read_image(path) is not None
    path.write_bytes(path.read_bytes()[:50])
    told = Messages()
    queue = build_queue(site, report=told)
    assert len(queue) == 5 - (frame.split == "unlabelled")
    assert any("cannot be read" in line for line in told.lines)
