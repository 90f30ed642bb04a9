"""Every key of [train] acts in a method, or is refused or named for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgeseg.cli.training.train import _check_keys
from edgeseg.config import LoopConfig, Section, TrainConfig
from edgeseg.config.method_catalogue import (
    CATALOGUE,
    METHOD_KEYS,
    PASTING,
    PLUGIN_KEYS,
    PLUGINS,
    keys_read,
    refuse_idle_keys,
)
from edgeseg.config.method_settings import AELConfig, FPLConfig, U2PLConfig
from edgeseg.errors import ConfigError
from edgeseg.imaging.array_types import Mask
from edgeseg.methods import METHODS, STAGED, Method, MethodContext
from edgeseg.models import Network
from edgeseg.site import Frame
from tests.helpers.methods import batch, config, method_context, spied_context
from tests.helpers.sites import index_frame

CLASSES = 4
OF_EVERY_METHOD = {"method", "plugins", "encoder"}  # keys of [train] alone that are no method's


def test_the_catalogue_knows_every_key_of_train_alone() -> None:
    """A new key has to be declared in the methods that read it, or to be one of all of them."""
    tables: dict[str, type[Section]] = {"u2pl": U2PLConfig, "ael": AELConfig, "fpl": FPLConfig}
    expected = {"batch_unlabelled"}
    for key in TrainConfig.model_fields.keys() - LoopConfig.model_fields.keys() - OF_EVERY_METHOD:
        inner = tables[key].model_fields if key in tables else None
        expected |= {f"{key}.{name}" for name in inner} if inner else {key}
    assert expected == METHOD_KEYS
    assert PLUGIN_KEYS.keys() == PLUGINS.keys()


@pytest.mark.parametrize(
    ("host", "plugin"),
    # what pastes is refused on cps, which has no strong view
    [
        (host, plugin)
        for host, plugin in product(("cutmix_mt", "cps"), PLUGINS)
        if host != "cps" or plugin not in PASTING
    ],
)
def test_a_plugin_s_keys_act_on_its_hosts(host: str, plugin: str) -> None:
    read: set[str] = set()
    context = method_context(CLASSES, method=host, plugins=[plugin], warmup=0.0)
    method = METHODS[host](spied_context(context, read)).train()
    method(batch(2, CLASSES), batch(2, CLASSES, seed=1, labelled=False), 0.9)
    assert method.propagation in (False, True)  # asked by whoever reads the frames, as the next
    read.add("batch_unlabelled")
    assert sorted(read & METHOD_KEYS) == sorted(keys_read(host, (plugin,)))


class OneStepStages:
    """Stages whose trainings are one step of the method, and whose labels are one class."""

    def __init__(self, read: set[str]) -> None:
        self.config, self.classes = config(steps=30), CLASSES
        self.footage: Sequence[Frame] = [index_frame(0.0)]
        self._read = read

    def train(
        self, name: str, share: float, make: Callable[[MethodContext], Method], **given: Any
    ) -> Path:  # Any: as the stages
        method = make(spied_context(method_context(CLASSES), self._read)).train()
        footage = batch(2, CLASSES, seed=1, labelled="labels" in given)
        method(batch(2, CLASSES), footage, 0.9)
        return Path(name)

    def snapshots(self, name: str) -> list[Path]:
        return [Path("early"), Path("late")]

    def label(self, name: str, weights: Path, *_: Any, **__: Any) -> Path:  # Any: of no account
        return Path(name)

    def mask(self, labels: Path, frame: Frame) -> Mask:
        return np.zeros((8, 8), np.uint8)

    def network(self, weights: Path) -> Network:
        return method_context(CLASSES).student.requires_grad_(False).eval()


@pytest.mark.parametrize("name", STAGED)
def test_the_keys_of_a_staged_method_are_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.methods.staged.stpp.write_atomic", lambda *_, **__: None)
    monkeypatch.setattr("edgeseg.methods.baselines.dmt.PHASES", 1)
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"")
    torch.manual_seed(0)
    read: set[str] = set()
    STAGED[name](OneStepStages(read))
    read.add("batch_unlabelled")
    assert sorted(read & METHOD_KEYS) == sorted(keys_read(name, ()))


@pytest.mark.parametrize(
    ("method", "plugins", "key", "text"),
    [
        ("u2pl", (), "confidence", r"train.confidence does nothing in u2pl; .* such as cutmix_mt"),
        ("mean_teacher", (), "cutmix", "does nothing in mean_teacher"),
        ("suponly", (), "strong", "does nothing in suponly"),
        ("stpp", (), "warmup", "does nothing in stpp"),
        ("cutmix_mt", (), "ael.copy_paste", r"ael, u2pl_ael, fpl_ael, ucc, --plugin ael$"),
        ("cps", ("ael",), "cutmix", "does nothing in cps"),
        ("cutmix_mt", (), "fpl", "train.fpl does nothing in cutmix_mt"),
    ],
)
def test_an_override_that_does_nothing_is_refused(
    method: str, plugins: tuple[str, ...], key: str, text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        refuse_idle_keys(method, plugins, ["steps", key])


def test_an_override_that_acts_is_taken() -> None:
    for name in CATALOGUE:
        refuse_idle_keys(name, (), [*keys_read(name, ()), "steps", "ema", "seed"])
    refuse_idle_keys("cutmix_mt", ("ael",), ["ael.keep", "ael"])
    refuse_idle_keys("u2pl", (), ["u2pl"])


def test_the_command_refuses_overrides_and_names_idle_keys_of_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = config(method="u2pl", confidence=0.9, ramp=0.1, ael={"keep": 0.9})
    _check_keys(settings, ["train.u2pl.alpha=0.1", "data.fit=stretch"])
    said = " ".join(capsys.readouterr().err.split())
    assert "train.confidence = 0.9 does nothing in u2pl" in said
    assert "train.ael.keep = 0.9 does nothing in u2pl" in said and "ramp" not in said
    with pytest.raises(ConfigError, match=r"train.confidence does nothing in u2pl"):
        _check_keys(settings, ["train.steps=3", "train.confidence=0.9"])
    assert config(method="cutmix_mt", confidence=0.9, rep_dim=256).idle_settings() == {}


def test_sizes_that_nothing_has_are_named_but_not_refused() -> None:
    """People set them for all methods alike; `--batch` sets both batches."""
    refuse_idle_keys("suponly", (), ["rep_dim", "batch_unlabelled"])
    assert config(method="suponly").idle_settings() == {"rep_dim": 16}
    small = config(method="suponly", batch_unlabelled=6, rep_dim=256)
    assert small.idle_settings() == {"batch_unlabelled": 6}
