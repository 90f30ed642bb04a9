"""Training: every method learns, a killed run resumes bit for bit, and bad numbers never reach the
weights.
"""

from __future__ import annotations

import copy
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from edgeseg.cli.app import app
from edgeseg.config import DistillConfig, validate_config
from edgeseg.errors import DataError, EdgesegError, TrainError
from edgeseg.methods import METHODS
from edgeseg.metrics import miou
from edgeseg.models.model_files import load_model
from edgeseg.site import Frame, Site
from edgeseg.training.distill import distill
from edgeseg.training.model_evaluation import evaluate_frames
from edgeseg.training.train import train
from tests.helpers.methods import config, method_context, weights
from tests.helpers.sites import TINY, make_site


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


@pytest.mark.parametrize("name", ["cutmix_mt", "u2pl", "ael", "cps_cutmix"])
def test_class_weights_are_of_labelled_pixels_alone(name: str) -> None:
    """On pseudo-labels, which carry the teacher's bias already, they let rare classes grow without
    end.
    """
    from edgeseg.methods import Batch, StepResult

    torch.manual_seed(0)
    method = METHODS[name](method_context(3, torch.tensor([100.0, 10.0, 1.0]), method=name)).eval()
    everywhere = torch.ones(2, 64, 64, dtype=torch.bool)
    batch = Batch(torch.rand(2, 3, 64, 64), torch.randint(0, 3, (2, 64, 64)), everywhere)
    state = {key: value.clone() for key, value in method.state_dict().items()}

    def logs(weight: torch.Tensor) -> dict[str, torch.Tensor]:
        method.load_state_dict(state)
        method.class_weight.copy_(weight)
        torch.manual_seed(1)
        result: StepResult = method(batch, batch, 0.9)
        return result.logs

    once, other = logs(torch.ones(3)), logs(torch.tensor([2.0, 4.0, 8.0]))
    assert once["unlabelled"] > 0
    torch.testing.assert_close(other["unlabelled"], once["unlabelled"])
    assert other["supervised"] > 2 * once["supervised"]


def test_teacher_is_the_warm_average_of_the_weights() -> None:
    method = METHODS["suponly"](method_context(3, ema=0.99))
    with torch.no_grad():
        for value, step, expected in (
            (1.0, 0, 1.0),
            (2.0, 999, 1.01),
        ):  # keep 0: the student itself; then keep 0.99
            for tensor in method.student.parameters():
                tensor.fill_(value)
            method.after_step(step)
            for tensor in method.teacher.parameters():
                assert bool(
                    torch.isclose(tensor, torch.full_like(tensor, expected), atol=1e-5).all()
                )


def test_teacher_takes_its_batch_norm_statistics_from_its_own_clean_passes() -> None:
    torch.manual_seed(0)
    method = METHODS["suponly"](method_context(3, ema=0.9))
    images = torch.rand(4, 3, 64, 64)
    for step in range(3):
        with torch.no_grad():
            for tensor in method.student.parameters():
                tensor.add_(0.01 * torch.randn_like(tensor))
        method.after_step(step)
    norms = [m for m in method.teacher.modules() if isinstance(m, torch.nn.BatchNorm2d)]

    def error() -> float:
        """How far the teacher is from what the statistics of this very batch would give, in
        standard deviations.
        """
        with torch.no_grad():
            own = method.teacher(method.normalize(images)).logits
            other = copy.deepcopy(method.teacher)
            for norm in (m for m in other.modules() if isinstance(m, torch.nn.BatchNorm2d)):
                norm.train()
            wanted = other(method.normalize(images)).logits
        return float((own - wanted).abs().mean() / wanted.std())

    before = error()
    for _ in range(120):
        method.teacher_forward(images)
    assert norms and error() < 0.05 < 0.3 < before


def test_one_frame_at_a_time_leaves_the_statistics_finite() -> None:
    method = METHODS["suponly"](method_context(3))
    for _ in range(3):
        method.teacher_forward(
            torch.rand(1, 3, 64, 64)
        )  # one pixel is left where the decoder pools over the image
    assert all(bool(torch.isfinite(buffer).all()) for buffer in method.teacher.buffers())


def test_kill_9_at_random_moments_then_resume_is_bit_exact(site: Site, tmp_path: Path) -> None:
    settings = ["method=u2pl", "steps=8", "eval_every=4", "checkpoint_every=1"]
    whole = train(
        site, config(method="u2pl", steps=8, eval_every=4, checkpoint_every=1), tmp_path / "whole"
    )
    overrides = [f"{key}={json.dumps(value)}" for key, value in TINY.items()] + settings
    command = [sys.executable, "-m", "edgeseg.cli.app", "train", "--resume"]
    for text in overrides:
        command += ["--set", f"train.{text}"]
    run = site.root / "runs" / "train" / "exp1"
    run.mkdir(parents=True)
    rng = np.random.default_rng(1)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for _ in range(3):
        before = len(list((run / "checkpoint").glob("*"))) and max(
            p.name for p in (run / "checkpoint").glob("step*")
        )
        process = subprocess.Popen(
            command, cwd=site.root, env=environment, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while (
            process.poll() is None and time.monotonic() < deadline
        ):  # until it has got further than before
            names = [p.name for p in (run / "checkpoint").glob("step*")]
            if names and max(names) != before:
                break
            time.sleep(0.02)
        time.sleep(float(rng.uniform(0, 0.4)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = subprocess.run(
        command, cwd=site.root, env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    assert "Next: edgeseg distill" in finished.stderr
    mine, theirs = weights(whole.path), weights(run)
    assert all(torch.allclose(mine[name].float(), theirs[name].float(), atol=1e-4) for name in mine)


def test_a_damaged_checkpoint_is_skipped_for_the_one_before(site: Site, tmp_path: Path) -> None:
    settings = config(steps=6, method="suponly")
    whole = train(site, settings, tmp_path / "run")
    (whole.path / "metrics.json").unlink()
    newest = max((whole.path / "checkpoint").glob("step*"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    before = weights(whole.path)
    again = train(site, settings, whole.path, resume=True)
    assert not newest.exists() or newest.read_bytes() != data
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(again.path).items())


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
    ("change", "resume", "text"),
    [
        ({}, False, "already holds a run"),
        ({"steps": 9}, True, r"begun with another configuration .*steps"),
    ],
)
def test_a_folder_with_another_run_is_refused(
    site: Site, tmp_path: Path, change: dict[str, object], resume: bool, text: str
) -> None:
    train(site, config(method="suponly", steps=1), tmp_path / "run")
    with pytest.raises(TrainError, match=text):
        train(
            site,
            config(method="suponly", **{"steps": 1, **change}),
            tmp_path / "run",
            resume=resume,
        )


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


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--set", 'train.encoder="nothing_of_the_kind"'], "nothing_of_the_kind"),
        (["--set", "train.freeze_encoder=true"], "random numbers"),
    ],
)
def test_a_refused_run_is_not_the_one_that_resume_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], said: str
) -> None:
    root = make_site(tmp_path).root
    monkeypatch.chdir(root)
    sets = [f"--set=train.{key}={json.dumps(value)}" for key, value in TINY.items()]
    assert CliRunner().invoke(app, ["train", "--method", "suponly", *sets]).exit_code == 0
    refused = CliRunner().invoke(app, ["train", *sets, *flags])
    assert refused.exit_code == 1 and said in " ".join(refused.stderr.split())
    assert [path.name for path in (root / "runs" / "train").iterdir()] == ["exp1"]
    assert "exp1" in CliRunner().invoke(app, ["train", "--resume"]).output
