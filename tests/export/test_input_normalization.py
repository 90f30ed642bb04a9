"""The normalization of an encoder's own weights is part of every exported file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeseg.config import ExportConfig
from edgeseg.export.exporter import export
from edgeseg.models.model_files import load_model
from edgeseg.models.pretrained.normalization import IMAGENET
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.training.model_evaluation import predict
from tests.helpers.exporting import make_run, make_site, picture

HALVED = "tf_mobilenetv3_small_minimal_100"  # small, and trained with 0.5 and 0.5


def test_a_bundle_sees_frames_as_its_network_did(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site")
    run = make_run(site, steps=20, encoder=HALVED)
    model = load_model(run)
    assert model.card.mean == model.card.std == (0.5, 0.5, 0.5)
    frames = [picture(seed)[0] for seed in range(4)]
    wanted = predict(model.module, frames)[0].numpy()
    config = ExportConfig(int8=False, threads=1, ask_tensorrt=False)
    bundle = export(site, config, run, tmp_path / "bundle").bundle
    with open_runner(bundle, backend="cpu", precision="fp32", threads=1) as run_graph:
        masks = run_graph(np.stack(frames)).mask
    assert np.mean(masks == wanted) > 0.999
    model.module.normalization = IMAGENET
    assert np.mean(predict(model.module, frames)[0].numpy() == wanted) < 0.99
