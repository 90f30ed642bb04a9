"""The trainings whose batches can be shown, and a batch as the page gets it."""

from __future__ import annotations

import json
import shutil
import time
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import DataError, TrainError
from edgeseg.imaging.image_codec import decode_jpeg
from edgeseg.labelling.browse import training_reads
from edgeseg.labelling.browse.training_reads import TrainingReads
from edgeseg.labelling.drafts.mask_runs import decode_text
from edgeseg.site import Site
from edgeseg.training.inspection import StepInspector, StepReading
from edgeseg.training.train import train
from tests.helpers.methods import config
from tests.helpers.sites import make_site


def test_runs_of_the_site_and_of_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(tmp_path / "site")
    run = train(site, config(method="cutmix_mt", steps=4, checkpoint_every=2, warmup=0.0)).path
    round_folder = site.root / "rounds" / "0001"
    shutil.copytree(run, round_folder / "train")
    (round_folder / "selected.json").write_text(json.dumps({"frames": ["f4"]}))
    (site.root / "runs" / "train" / "exp7").mkdir()  # not begun
    reads = TrainingReads(site)
    told = reads.trainings()["trainings"]
    assert [(each["verb"], each["run"], each["checkpoint"]) for each in told] == [
        ("train", "rounds/0001/train", 2),
        ("train", "runs/train/exp1", 2),
        ("train", "", None),
        ("distill", "", None),
    ]
    batch = reads.batch("train", "runs/train/exp1", -1)
    assert batch["step"] == 2 and "this very batch" in batch["notes"][0]
    titles = [group["title"] for group in batch["groups"]]
    assert titles[:2] == ["Labelled frames", "Unlabelled frames"] and len(titles) == 3
    cell = batch["groups"][0]["cells"][0]
    assert cell["frame"] in {"f0", "f1", "f2", "f3"} and cell["name"].startswith("cam, s at 0:0")
    mask = decode_text(cell["runs"], 64, 64)
    picture = decode_jpeg(b64decode(cell["image"].partition(",")[2]), 64, 64)
    assert picture.shape == (64, 64, 3) and set(np.unique(mask)) <= {0, 1, 2, 255}
    assert "pseudo-labels that count" in batch["groups"][2]["text"]
    assert batch["groups"][2]["cells"][0]["runs"]

    of_round = reads.batch("train", "rounds/0001/train", 3)
    assert "f4" in {each["frame"] for each in of_round["groups"][1]["cells"]}
    assert of_round["step"] == 3 and "step 3" in of_round["notes"][0]
    check_memory_errors(reads, monkeypatch)
    check_that_it_closes_by_itself(reads, monkeypatch)
    with pytest.raises(DataError, match="no train run"):
        reads.batch("train", "runs/train/exp9", 0)
    with pytest.raises(DataError, match="there is no step 4; choose 0 to 3"):
        reads.batch("train", "runs/train/exp1", 4)


def check_memory_errors(reads: TrainingReads, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch says of memory is one sentence, and what it could not hold is let go."""
    for error, told in [
        (RuntimeError("CUDA out of memory.\nTried to allocate"), r"\(CUDA out of memory\.\)"),
        (MemoryError(), r"\(there is not enough memory\)"),
    ]:

        def fail(inspector: StepInspector, step: int, error: Exception = error) -> StepReading:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(StepInspector, "read", fail)
            with pytest.raises(TrainError, match=f"this batch cannot be made here {told}"):
                reads.batch("train", "runs/train/exp1", 1)
        assert reads._inspector is None
    assert reads.batch("train", "runs/train/exp1", 1)["step"] == 1


def check_that_it_closes_by_itself(reads: TrainingReads, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(training_reads, "IDLE_SECONDS", 0.01)
        patch.setattr(Site, "frames", None)  # a click on what is open reads no index
        assert reads.batch("train", "runs/train/exp1", 3)["step"] == 3
    deadline = time.monotonic() + 30
    while reads._inspector is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert reads._inspector is None
