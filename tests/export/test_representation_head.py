"""The export of a run whose network has a representation head."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from edgeseg.bundle import Bundle
from edgeseg.cli.app import app
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.site import Site
from edgeseg.training.train import train
from tests.helpers.exporting import make_site, picture
from tests.helpers.methods import landscape_config


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("encoders") / "site", val=3, unlabelled=4)


def test_a_run_of_train_is_exported_without_its_representation_head(
    site: Site, tmp_path: Path
) -> None:
    run = train(
        site,
        landscape_config(method="u2pl", steps=6, eval_every=6, warmup=0),
        tmp_path / "runs" / "train" / "exp1",
    )
    assert any("rep_head" in name for name in load_file(run.path / "weights" / "best.safetensors"))
    out = tmp_path / "bundle"
    command = [
        "export",
        str(run.path),
        "--int8",
        "--output",
        str(out),
        "--max-drop",
        "100",
        "--min-speedup",
        "0",
    ]
    command += ["--max-class-drop", "100"]
    command += ["--set", "export.calibration_frames=2", "--set", "export.threads=1"]
    command += ["--set", "export.ask_tensorrt=false"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(site.root)
        result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    bundle = Bundle.open(out)
    assert {"model.onnx", "model.int8-cpu.onnx"} <= set(bundle.manifest.files)
    assert b"rep_head" not in bundle.read("model.onnx")
    with open_runner(out, backend="cpu", precision="int8", threads=1) as device:
        assert device(picture(0)[0][None]).mask.shape == (1, 64, 96)
