"""Every training method learns, works at its limits, resumes exactly, leaves all its results."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from edgeseg.config import ALIASES, METHOD_NAMES, PLUGIN_NAMES
from edgeseg.config.method_catalogue import CATALOGUE, METHOD_KEYS, PASTING, keys_read
from edgeseg.config.method_catalogue import PLUGINS as PLUGIN_TEXTS
from edgeseg.errors import ConfigError, TrainError
from edgeseg.losses.shared.resize import upsample
from edgeseg.methods import METHODS, STAGED, Batch, Method
from edgeseg.methods.plugins import PLUGINS, prevmatch
from edgeseg.site import Site
from edgeseg.training.train import train
from tests.helpers.methods import batch, config, method_context, same, spied_context
from tests.helpers.sites import make_site

# Staged as st is, whose tests are in every run; theirs would take half a minute more.
AS_ST = ("naive_student", "noisy_student")
LIKE_ST = [pytest.param(name, marks=pytest.mark.slow) for name in AS_ST]
RESUMED = [name for name in METHOD_NAMES if name not in AS_ST] + LIKE_ST

HOSTS = [name for name, info in CATALOGUE.items() if info.plugins]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


def made(name: str, classes: int, **changes: Any) -> Method:  # Any: configuration values
    torch.manual_seed(0)
    return METHODS[name](method_context(classes, method=name, **changes)).train()


def trainable(method: Method) -> list[tuple[str, torch.nn.Parameter]]:
    """All that the loss must reach: not a representation head that the method does not use."""
    return [
        (name, parameter)
        for name, parameter in method.named_parameters()
        if parameter.requires_grad and "rep_head" not in name
    ]


def test_names_are_the_same_everywhere() -> None:
    assert {*METHODS, *STAGED} == set(METHOD_NAMES) == set(CATALOGUE)
    assert not set(METHODS) & set(STAGED)
    assert set(PLUGINS) == set(PLUGIN_NAMES) == set(PLUGIN_TEXTS)
    assert set(ALIASES.values()) <= set(METHOD_NAMES) and not set(ALIASES) & set(METHOD_NAMES)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_overfits_four_images(name: str) -> None:
    steps = 14
    method = made(name, 3, ema=0.8, steps=steps, warmup=0.3, ramp=0.2)
    optimizer = torch.optim.AdamW([parameter for _, parameter in trainable(method)], lr=8e-3)
    frames = batch(4, 3)
    supervised = []
    for step in range(steps):
        torch.manual_seed(step)
        result = method(
            frames,
            Batch(frames.images, torch.full_like(frames.masks, 255), frames.valid),
            step / steps,
        )
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
        method.after_step(step)
        supervised.append(float(result.logs["supervised"]))
    assert sum(supervised[-4:]) < 0.8 * sum(supervised[:4])
    method.eval()
    with torch.no_grad():
        found = upsample(method.student(method.normalize(frames.images)).logits, (64, 64)).argmax(1)
    assert (found == frames.masks).float().mean() > 0.75
    assert all(parameter.grad is None for parameter in method.teacher.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_reaches_all_that_is_trained_and_the_keys_that_act_are_read(name: str) -> None:
    """A key of [train] that the catalogue does not name for a method does nothing in it."""
    torch.manual_seed(0)
    read: set[str] = set()
    context = method_context(4, method=name, confidence=0.0)
    method = METHODS[name](spied_context(context, read)).train()
    for progress in (0.1, 0.9):
        method(batch(2, 4), batch(2, 4, seed=1, labelled=False), progress).loss.backward()
        method.after_step(0)
    assert [n for n, parameter in trainable(method) if parameter.grad is None] == []
    assert method.propagation in (False, True)  # asked by whoever reads the frames, as the next
    if method.needs_unlabelled:
        read.add("batch_unlabelled")
    assert sorted(read & METHOD_KEYS) == sorted(keys_read(name, ()))


@pytest.mark.parametrize("classes", [2, 3, 21])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_works_at_its_limits(name: str, classes: int) -> None:
    if classes < CATALOGUE[name].classes:
        pytest.skip("refused, see below")
    method = made(
        name, classes, imgsz=[64, 64]
    ).eval()  # batch norm cannot take statistics of one pixel
    usual = batch(1, classes)
    single = Batch(usual.images, torch.zeros_like(usual.masks), usual.valid)
    ignored = Batch(usual.images, torch.full_like(usual.masks, 255), torch.zeros_like(usual.valid))
    two = batch(2, classes, seed=3)
    for labelled, unlabelled in (
        (usual, usual),
        (single, usual),
        (usual, ignored),
        (ignored, ignored),
        (two, usual),
    ):
        result = method(labelled, unlabelled, 0.7)
        result.loss.backward()
        assert torch.isfinite(result.loss)
    gradients = [parameter.grad for parameter in method.parameters() if parameter.grad is not None]
    assert gradients and all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


@pytest.mark.parametrize("name", METHODS)
def test_one_unlabelled_frame_a_step_is_enough(name: str) -> None:
    method = made(name, 4)
    result = method(batch(2, 4), batch(1, 4, seed=1, labelled=False), 0.9)
    result.loss.backward()
    assert torch.isfinite(result.loss)


def decoder_gradient(host: str, *plugins: str) -> torch.Tensor:
    """The summed gradient of the student's decoder, (n,), over three steps."""
    method = made(
        host, 4, plugins=[*plugins], steps=4, warmup=0.0, ramp=0.0, confidence=0.0, cutmix=1.0
    )
    for step in range(3):
        torch.manual_seed(step)
        result = method(batch(2, 4), batch(2, 4, seed=step, labelled=False), (step + 1) / 4)
        result.loss.backward()
        method.after_step(step)
    assert torch.isfinite(result.loss)
    slopes = [p.grad for p in method.student.decoder.parameters() if p.grad is not None]
    return torch.cat([slope.flatten() for slope in slopes])


gradient_without_plugins = functools.cache(decoder_gradient)


@pytest.mark.parametrize(
    "host", ["mean_teacher", "cutmix_mt", "u2pl", "cps", "cps_cutmix", "unimatch", "unimatch_v2"]
)
@pytest.mark.parametrize("plugin", PLUGIN_NAMES)
def test_every_plugin_works_on_every_kind_of_host_and_changes_its_loss(
    monkeypatch: pytest.MonkeyPatch, host: str, plugin: str
) -> None:
    monkeypatch.setattr(prevmatch, "CONFIDENCE", 0.0)  # untrained snapshots are sure of nothing
    if host == "u2pl" and plugin == "u2pl_contrast":
        pytest.skip("has it already")
    if plugin in PASTING and host in ("mean_teacher", "cps"):
        pytest.skip("refused, see below")
    assert not torch.allclose(gradient_without_plugins(host), decoder_gradient(host, plugin))


@pytest.mark.parametrize("name", METHODS)
def test_the_whole_state_of_a_method_is_in_its_state_dict(name: str) -> None:
    plugins = ["prevmatch", "ael"] if CATALOGUE[name].plugins and "ael" not in name else []
    one, other = (made(name, 4, plugins=plugins, steps=4, warmup=0.0, ramp=0.0) for _ in range(2))
    for step in range(2):
        torch.manual_seed(step)
        one(batch(2, 4), batch(2, 4, seed=step, labelled=False), 0.5)
        one.after_step(step)
    other.load_state_dict(one.state_dict())
    losses = []
    for method in (one, other):
        torch.manual_seed(9)
        losses.append(
            float(method(batch(2, 4), batch(2, 4, seed=5, labelled=False), 0.6).loss.detach())
        )
    assert losses[0] == losses[1]


class Stop(Exception):
    pass


class Watcher:
    """Stops a run, as a kill would, when so many units of work are done."""

    def __init__(self, after: int) -> None:
        self.left = after

    def start(self, title: str, total: int | None) -> None: ...
    def say(self, message: str) -> None: ...
    def stop(self) -> None: ...
    def advance(self, amount: int = 1, note: str = "") -> None:
        self.left -= amount
        if self.left <= 0:
            raise Stop


@pytest.mark.parametrize("method", RESUMED)
def test_a_run_cut_off_anywhere_ends_with_the_same_weights(
    site: Site, tmp_path: Path, method: str
) -> None:
    staged = method in STAGED
    settings = config(method=method, steps=12 if staged else 4, eval_every=4, warmup=0.3, ramp=0.2)
    whole = train(site, settings, tmp_path / "whole")
    first = 5 if staged else 3
    for after in (5, 3) if staged else (3,):
        with pytest.raises(Stop):
            train(site, settings, tmp_path / "cut", resume=after != first, report=Watcher(after))
    again = train(site, settings, tmp_path / "cut", resume=True)
    assert same(whole.path, again.path)
    assert (whole.path / "results.csv").read_text() == (again.path / "results.csv").read_text()
    assert (
        train(site, settings, tmp_path / "cut", resume=True).metrics == again.metrics
    )  # finished: nothing to do
    for name in (
        "weights/best.safetensors",
        "weights/last.safetensors",
        "model.json",
        "config.toml",
        "val.png",
    ):
        assert (again.path / name).stat().st_size > 0
    metrics = json.loads((again.path / "metrics.json").read_text())
    assert metrics["last"]["step"] == settings.steps
    assert set(metrics["last"]["ema"]["per_class"]) == {"c0", "c1", "c2"}


@pytest.mark.parametrize("method", ["st", *LIKE_ST])
def test_staged_methods_learn(site: Site, tmp_path: Path, method: str) -> None:
    settings = config(
        method=method, steps=80, eval_every=80, encoder_lr=2e-3, decoder_lr=1e-2, ema=0.8
    )
    assert train(site, settings, tmp_path / "run").miou > 35  # a constant answer gives 20


def test_stpp_relabels_nothing_where_all_footage_is_stable(tmp_path: Path) -> None:
    """With one frame a camera the better half of each camera's is all there is."""
    site = make_site(tmp_path / "site")
    site.save_frames([replace(frame, camera=frame.id) for frame in site.frames()])
    result = train(site, config(method="stpp", steps=24), tmp_path / "run")
    first, second = (
        {path.name: path.read_bytes() for path in (result.path / "stages" / name).glob("*.png")}
        for name in ("labels", "relabelled")
    )
    assert len(first) == 5 and second == first


def test_stages_share_the_budget_and_add_up_their_seconds(site: Site, tmp_path: Path) -> None:
    settings = config(method="stpp", steps=24)
    result = train(site, settings, tmp_path / "run")
    parts = [
        json.loads(path.read_text())
        for path in sorted((result.path / "stages").glob("*/metrics.json"))
    ]
    assert (
        sorted(part["last"]["step"] for part in parts) == [8, 16]
        and result.metrics["last"]["step"] == 24
    )
    assert result.metrics["seconds"] >= max(part["seconds"] for part in parts)
    first = (result.path / "stages" / "teacher" / "weights").glob("step-*.safetensors")
    assert len(list(first)) == 3


@pytest.mark.parametrize(
    ("changes", "classes", "text"),
    [
        ({"method": "fpl_cps"}, 2, "needs at least 3 classes"),
        ({"method": "fpl_ael"}, 2, "needs at least 3 classes"),
        ({"method": "cutmix_mt", "plugins": ["fpl"]}, 2, "at least 3 classes"),
        ({"method": "stpp", "plugins": ["ael"]}, 3, "which stpp has not"),
        ({"method": "cps", "plugins": ["augseg"]}, 3, "augseg .*has no strong view"),
        ({"method": "mean_teacher", "plugins": ["dacs"]}, 3, "dacs .*has no strong view"),
        ({"method": "psmt", "plugins": ["u2pl_contrast"]}, 3, "needs representations"),
        (
            {"method": "dsbn", "encoder": "resnet18", "checkpointing": True},
            3,
            "swaps batch norms within a step",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(
    tmp_path: Path, changes: dict[str, object], classes: int, text: str
) -> None:
    root = tmp_path / "site"
    root.mkdir()
    site = make_site(root)
    if classes == 2:
        lines = (root / "edgeseg.toml").read_text().split("[[classes]]")
        (root / "edgeseg.toml").write_text("[[classes]]".join(lines[:3]))
        site = Site.open(root)
    with pytest.raises(TrainError, match=text):
        train(site, config(**changes), tmp_path / "run")


def test_a_paper_s_other_name_is_understood_and_a_wrong_one_refused() -> None:
    assert config(method="st++").method == "stpp"
    assert config(method="mt").method == "mean_teacher"
    with pytest.raises(ConfigError, match="method"):
        config(method="u2pll")
