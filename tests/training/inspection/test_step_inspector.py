"""What an inspector shows of a step is what the trainer read in it, to the last bit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgeseg.config import DistillConfig
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE
from edgeseg.methods import METHODS, Batch, Method
from edgeseg.methods.framework.method import StepResult
from edgeseg.site import Site
from edgeseg.training.distill import distill
from edgeseg.training.inspection import StepInspector, StepReading
from edgeseg.training.inspection.view_recorder import (
    GradientNeededError,
    Recording,
    record_views,
    without_activations,
)
from edgeseg.training.reporting.frames_read import likeness_of_frames, remember_frames
from edgeseg.training.step_batches import StepBatch, StepBatches
from edgeseg.training.train import train
from edgeseg.training.trainer import Trainer
from tests.helpers.methods import batch, config, method_context
from tests.helpers.sites import TINY, make_site

STEP = 2  # where the checkpoint that is left goes on


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path / "site")


class Watched:
    """What a real training read in `STEP`, and showed its student."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[StepBatch] = []
        self.recordings: list[Recording] = []
        read, step_of = StepBatches.read, Trainer.train_step

        def watched_read(batches: StepBatches, step: int) -> StepBatch:
            batch = read(batches, step)
            self.batches += [batch] if step == STEP else []
            return batch

        def watched_step(trainer: Trainer, step: int) -> None:
            with record_views(trainer.method) as recording:
                step_of(trainer, step)
            self.recordings += [recording] if step == STEP else []

        monkeypatch.setattr(StepBatches, "read", watched_read)
        monkeypatch.setattr(Trainer, "train_step", watched_step)

    def check_frames(self, reading: StepReading) -> None:
        (batch,) = self.batches
        assert reading.labelled + reading.unlabelled == batch.frames
        ((labelled, unlabelled),) = batch.parts
        assert np.array_equal(reading.labelled_images, as_bytes(labelled.images))
        assert np.array_equal(reading.labelled_masks, labelled.masks.numpy())
        if unlabelled is None:
            assert len(reading.unlabelled_images) == 0
        else:
            assert np.array_equal(reading.unlabelled_images, as_bytes(unlabelled.images))
            assert np.array_equal(reading.unlabelled_masks, unlabelled.masks.numpy())


def as_bytes(images: Tensor) -> np.ndarray[Any, Any]:
    return (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("method", ["unimatch", "u2pl", "suponly_strong"])
def test_a_step_of_a_run_is_shown_as_it_was_trained(
    site: Site, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    with monkeypatch.context() as patch:
        watched = Watched(patch)
        settings = config(method=method, steps=4, checkpoint_every=2, warmup=0.0, ramp=0.0)
        focus = frozenset({"f4"})  # as a round of adaptation has it
        run = train(site, settings, focus=focus).path
    inspector = StepInspector(site, "train", run, focus)
    assert inspector.default_step == STEP
    inspector.read(0)  # another step before it changes nothing
    reading = inspector.read(STEP)
    watched.check_frames(reading)
    assert "goes on with this very batch" in reading.notes[0]
    (recording,) = watched.recordings
    if method == "suponly_strong":
        assert reading.seen is not None and not reading.views
        assert np.array_equal(reading.seen, as_bytes(recording.images[0]))
    else:
        assert len(reading.views) == len(recording.views) == (3 if method == "unimatch" else 1)
        for view, (target, weight) in zip(reading.views, recording.views):
            assert view.masks is not None
            assert np.array_equal(view.images, as_bytes(target.images))
            kept = target.label.masked_fill(weight <= 0, IGNORE).numpy()
            assert np.array_equal(view.masks, kept)
            assert view.counted == pytest.approx((kept != IGNORE).mean())
    inspector.close()


def test_an_edge_model_sees_both_kinds_recolored(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(site, config(method="suponly", steps=2))
    with monkeypatch.context() as patch:
        watched = Watched(patch)
        tiny = {name: value for name, value in TINY.items() if name != "rep_dim"}
        run = distill(site, DistillConfig.model_validate(tiny)).path
    inspector = StepInspector(site, "distill", run)
    reading = inspector.read(STEP)
    watched.check_frames(reading)
    shown = as_bytes(watched.recordings[0].images[0])
    number = len(reading.labelled)
    assert reading.seen is not None and np.array_equal(reading.seen, shown[:number])
    (view,) = reading.views
    assert np.array_equal(view.images, shown[number:]) and view.masks is None
    inspector.close()


def test_a_site_that_has_changed_is_not_told_as_what_a_run_read(site: Site) -> None:
    settings = config(method="cps", steps=4, checkpoint_every=2, warmup=0.0, ramp=0.0)
    run = train(site, settings).path
    checkpoints = run / "checkpoint"
    (newest,) = checkpoints.iterdir()
    damaged = checkpoints / newest.name.replace("step-00000002", "step-00000003")
    damaged.write_bytes(newest.read_bytes()[:-9])
    assert "this very batch" in first_note(site, run)
    assert damaged.exists()  # who looks deletes nothing

    mask = site.root / str(site.frames("labelled")[0].mask)
    before = mask.read_bytes()
    mask.write_bytes((site.root / str(site.frames("labelled")[1].mask)).read_bytes())
    assert "are others than this run began with" in first_note(site, run)
    mask.write_bytes(before)
    assert "this very batch" in first_note(site, run)
    remember_frames(site, run)  # a start without a change in between
    assert likeness_of_frames(site, run) == "same"
    mask.write_bytes((site.root / str(site.frames("labelled")[1].mask)).read_bytes())
    remember_frames(site, run)  # the run went on with other labels than it began with
    mask.write_bytes(before)
    remember_frames(site, run)
    assert likeness_of_frames(site, run) == "other"
    (run / "frames.json").unlink()  # as of runs of earlier versions
    assert "does not tell which frames" in first_note(site, run)

    shutil.rmtree(checkpoints)  # of the two networks only one average is left
    inspector = StepInspector(site, "train", run)
    reading = inspector.read(STEP)
    assert reading.views and all(view.masks is None for view in reading.views)
    assert "are not shown" in reading.notes[0]
    inspector.close()


def first_note(site: Site, run: Path) -> str:
    inspector = StepInspector(site, "train", run)
    note = inspector.read(STEP).notes[0]
    inspector.close()
    return note


def test_looking_keeps_no_activations_unless_a_step_needs_them() -> None:
    weight = torch.ones(3, requires_grad=True)
    with without_activations():
        loss = (weight * weight).sum()
    with pytest.raises(GradientNeededError):
        torch.autograd.backward(loss)


def test_max_memory_is_kept_to_and_methods_with_gradients_of_their_own_work(site: Site) -> None:
    many = {"batch": 4, "batch_unlabelled": 4, "max_memory": "1GB"}
    settings = config(method="cct", steps=8, warmup=0.0, ramp=0.0, **many)
    site.config = site.config.model_copy(update={"train": settings})
    inspector = StepInspector(site, "train", None)
    with record_passes() as passes:
        reading = inspector.read(3)
    assert len(reading.labelled) == 4 and reading.notes[0].startswith("Nothing is trained yet")
    assert set(passes) == {2}  # frames at a time
    assert any("max_memory" in note for note in reading.notes)
    inspector.close()


@contextmanager
def record_passes() -> Iterator[list[int]]:
    forward, passes = Method.forward, []

    def recorded(method: Method, labelled: Batch, *rest: Any) -> StepResult:
        passes.append(len(labelled.images))
        return forward(method, labelled, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Method, "forward", recorded)
        yield passes


def test_before_a_training_its_frames_are_known_and_its_labels_are_not(site: Site) -> None:
    settings = config(method="cutmix_mt", steps=8, warmup=0.25, weights="imagenet")
    site.config = site.config.model_copy(update={"train": settings})
    inspector = StepInspector(site, "train", None)  # loads no weights
    step = inspector.default_step
    assert step == 3  # the first one after the warm-up
    reading = inspector.read(step)
    assert len(reading.views) == 1 and reading.views[0].masks is None
    assert "Nothing is trained yet" in reading.notes[0]
    early = inspector.read(0)
    assert not early.views and any("in the warm-up" in note for note in early.notes)
    with pytest.raises(DataError, match="there is no step 8; choose 0 to 7"):
        inspector.read(8)
    assert not (site.root / "runs").exists()
    inspector.close()


def test_methods_in_stages_show_what_the_loop_reads(site: Site, tmp_path: Path) -> None:
    settings = config(method="st", steps=8)
    site.config = site.config.model_copy(update={"train": settings})
    inspector = StepInspector(site, "train", None)
    reading = inspector.read(3)
    assert len(reading.labelled) == len(reading.unlabelled) == 2 and not reading.views
    assert "trains in stages" in reading.notes[0]
    inspector.close()


@pytest.mark.parametrize("name", ["cps", "cac", "gct", "pseudoseg", "s4gan", "s4l"])
def test_methods_of_all_kinds_can_be_recorded_and_compute_the_same(name: str) -> None:
    method = METHODS[name](method_context(3, method=name))
    labelled, unlabelled = batch(2, 3), batch(2, 3, seed=1, labelled=False)
    state = {key: value.clone() for key, value in method.state_dict().items()}
    losses = []
    for is_recorded in (False, True):
        method.load_state_dict(state)
        method.train()
        torch.manual_seed(5)
        if is_recorded:
            with record_views(method) as recording:
                losses.append(method(labelled, unlabelled, 0.9).loss.item())
            assert recording.images and len(recording.images[0]) >= len(labelled.images)
            assert recording.images[0][: len(labelled.images)].min() >= 0
        else:
            losses.append(method(labelled, unlabelled, 0.9).loss.item())
    assert losses[0] == losses[1]
    assert "normalize" not in vars(method) and "unlabelled_loss" not in vars(method)
