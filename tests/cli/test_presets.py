"""`--preset`: what fits the machine, where nobody has set anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgeseg.cli.shared.presets import fit_machine
from edgeseg.config.template import create_site
from edgeseg.errors import ConfigError
from edgeseg.site import Site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_site(tmp_path / "site", values={"train.encoder": "resnet18"})
    return tmp_path / "site"


def fitted(
    folder: Path, preset: str | None, *given: str, resume: bool = False
) -> tuple[Site, list[str]]:
    overrides = list(given)
    return fit_machine(Site.open(folder, overrides), "train", overrides, preset, resume=resume)


def test_a_preset_sets_what_nobody_has_set(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site, overrides = fitted(folder, "cpu")
    assert (site.config.train.encoder, site.config.train.steps) == ("resnet18", 2000)
    assert overrides == ["train.steps=2000"]
    assert capsys.readouterr().err == "preset cpu: steps = 2000\n"
    site, overrides = fitted(folder, "cpu", "train.steps=7", "train.batch=8")
    assert site.config.train.steps == 7 and overrides == ["train.steps=7", "train.batch=8"]


def test_the_machine_decides_where_asked_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for has_gpu, steps in ((False, 2000), (True, 4000)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda answer=has_gpu: answer)
        assert fitted(folder, "auto")[0].config.train.steps == steps
    assert fitted(folder, "gpu")[0].config.train.steps == 4000
    capsys.readouterr()
    site, overrides = fitted(folder, None, "train.device=cpu")
    assert site.config.train.steps == 4000 and overrides == ["train.device=cpu"]
    assert "`--preset cpu` takes steps = 2000" in capsys.readouterr().err


def test_what_cannot_be_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="take one of auto, cpu, gpu"):
        fitted(folder, "tpu")


def test_a_run_that_is_resumed_keeps_its_settings(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fitted(folder, None, resume=True)[1] == []
    assert capsys.readouterr().err == ""
    assert fitted(folder, "cpu", resume=True)[1] == []
    assert "keeps its settings" in capsys.readouterr().err
