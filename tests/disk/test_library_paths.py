"""Paths that are no UTF-8, as libraries are given them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from edgeseg.disk.library_paths import is_utf8, library_path
from edgeseg.site import Site
from edgeseg.training.train import train
from tests.helpers.methods import config
from tests.helpers.sites import make_site


def test_a_plain_path_is_left_alone(tmp_path: Path) -> None:
    with library_path(tmp_path / "missing [x]") as name:
        assert name == str(tmp_path / "missing [x]")
    assert is_utf8("路") and not is_utf8("caf\udce9")


def test_safetensors_reads_what_it_refuses_by_name(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.safetensors"
    path.write_bytes(save({"a": torch.ones(2)}))
    with library_path(path) as name:
        assert load_file(name)["a"].tolist() == [1, 1]
    with pytest.raises(FileNotFoundError), library_path(tmp_path / "other\udce9"):
        pass


def test_a_relative_path_is_as_odd_as_the_folder_that_it_starts_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "caf\udce9").mkdir()
    monkeypatch.chdir(tmp_path / "caf\udce9")
    Path("12:30.txt").write_text("x")
    with library_path(Path("12:30.txt")) as name:
        name.encode()
        assert Path(name).read_text() == "x"


def test_a_site_whose_folder_is_no_utf8_trains_and_resumes(tmp_path: Path) -> None:
    make_site(tmp_path / "site").root.rename(tmp_path / "caf\udce9")
    site = Site.open(tmp_path / "caf\udce9")
    settings = config(method="suponly", steps=2, eval_every=2)
    run = site.run_folder("train", resume=False)
    result = train(site, settings, run)
    (run / "metrics.json").unlink()
    assert train(site, settings, run, resume=True).miou == result.miou
    assert list((run / "tensorboard").iterdir())
