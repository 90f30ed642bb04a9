"""A whole round with nothing played: tiny networks are trained, distilled, exported to INT8, judged
and published.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeseg.adapt import round_status as status
from edgeseg.adapt.publish import open_champion
from edgeseg.adapt.round_runner import rollback, run_round
from edgeseg.atomic_files import replace_link
from edgeseg.bundle import FLAVOURS
from edgeseg.config import SiteConfig, validate_config
from edgeseg.export.exporter import export
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.site import Site
from edgeseg.training.distill import distill
from edgeseg.training.train import train
from tests.helpers.rounds import SECTIONS, make_log, make_site, read, scene

FAST = {"encoder_lr": 2e-3, "decoder_lr": 4e-3, "ema": 0.8, "eval_every": 20}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site whose site model has learned a little and its champion hardly anything, and a log."""
    table = {
        **SECTIONS,
        "train": {**SECTIONS["train"], **FAST, "steps": 20},
        "distill": {**SECTIONS["distill"], **FAST, "steps": 2},
        "export": {**SECTIONS["export"], "int8": True},
        "adapt": {**SECTIONS["adapt"], "train_steps": 30, "distill_steps": 30},
    }
    site = make_site(tmp_path / "site", validate_config(SiteConfig, table, "the test site"))
    teacher = train(site, site.config.train, site.make_run_folder("train")).path
    edge = distill(site, site.config.distill, teacher, site.make_run_folder("distill")).path
    bundle = export(site, site.config.export, edge, seq=1).bundle
    replace_link(site.current_bundle, bundle.name)
    make_log(tmp_path / "log", range(100, 105))
    return site


def test_a_round_that_is_killed_while_it_trains_goes_on_and_publishes(
    site: Site, tmp_path: Path
) -> None:
    first = open_champion(site)
    command = [sys.executable, "-m", "edgeseg.cli.app", "adapt", str(tmp_path / "log")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    said = tmp_path / "said"
    with (
        said.open("w") as file,
        subprocess.Popen(command, cwd=site.root, env=environment, stderr=file) as process,
    ):
        checkpoints = site.root / "rounds/0001/train/checkpoint"
        while not any(checkpoints.glob("step-*.safetensors")):
            assert process.poll() is None, (
                f"the round ended before its first checkpoint: {said.read_text()}"
            )
            time.sleep(0.02)
        process.kill()
    assert open_champion(site).path == first.path
    assert status.list_rounds(site)[0].step == "train"

    result = run_round(site, resume=True)
    assert result.verdict == "published", result.reason
    assert result.figures["after"]["miou"] > result.figures["before"]["miou"]
    assert result.figures["after"]["artefact"] == FLAVOURS["int8-cpu"].file, (
        "what ships is what was judged"
    )
    bundle = open_champion(site)
    bundle.verify()
    assert (bundle.path, bundle.manifest.seq) == (result.bundle, 2)
    with open_runner(bundle, "cpu", "int8", threads=1) as run:
        assert run(scene(5)[0][None]).mask.shape == (1, 64, 96)
    statistics = read(result.folder / "pseudo/statistics.json")
    assert statistics["frames"] == 5 and 0.7 < statistics["kept"] <= 1
    assert read(result.folder / "train/origin.json")["init"] == "runs/train/exp1"
    assert rollback(site)[1].path == first.path
