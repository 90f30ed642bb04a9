"""A camera that hangs upright: the whole job with frames whose shape the networks do not have."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import edgeseg
from edgeseg.config import DistillConfig, ExportConfig, FitMode, LogConfig, TrainConfig
from edgeseg.config.template import create_site
from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.errors import TrainError
from edgeseg.imaging.array_types import IGNORE
from edgeseg.imaging.frame_fit import fit_frame
from edgeseg.imaging.image_codec import read_image
from edgeseg.imaging.mask_png import read_mask
from edgeseg.models.model_files import load_model
from edgeseg.runtime.bundle_evaluation import evaluate_runner
from edgeseg.runtime.framelog.reader import iter_records
from edgeseg.runtime.framelog.record_format import read_record
from edgeseg.runtime.inference import OutputTargets
from edgeseg.site import Site
from edgeseg.training.model_evaluation import evaluate_frames
from tests.helpers.exporting import COLORS

CLASSES = ("sky", "water", "bank")
FRAME = (150, 90)  # height and width
IMGSZ = (64, 96)
TINY = {
    "arch": "fpn",
    "encoder": "mobilenetv2_035",
    "weights": "none",
    "imgsz": IMGSZ,
    "steps": 2,
    "eval_every": 2,
    "batch": 2,
    "batch_unlabelled": 2,
    "workers": 1,
}


def save_pair(folder: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = np.kron(random.integers(0, 3, (5, 3)), np.ones((30, 30), int)).astype(np.uint8)
    noisy = COLORS[mask].astype(int) + random.normal(0, 9, (*FRAME, 3))
    for name, pixels in (
        ("images", noisy.clip(0, 255).astype(np.uint8)[..., ::-1]),
        ("masks", mask),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name / f"{seed}.png"), pixels)


def open_site(folder: Path, fit: FitMode) -> Site:
    return Site.open(folder, overrides=[f'data.fit="{fit}"', "data.near_duplicate=0"])


def make_site(folder: Path, fit: FitMode) -> Site:
    create_site(folder / "site", CLASSES)
    site = open_site(folder / "site", fit)
    for name, seeds in (("train", range(4)), ("val", range(4, 7)), ("footage", range(7, 11))):
        for seed in seeds:
            save_pair(folder / name, seed)
    add_footage(site, [folder / "footage" / "images"])
    for split in ("train", "val"):
        add_labels(site, folder / split / "images", folder / split / "masks", split)
    return site


@pytest.mark.parametrize("fit", ["letterbox", "crop"])
def test_the_whole_job_sees_the_same_part_of_every_frame(tmp_path: Path, fit: FitMode) -> None:
    site = make_site(tmp_path, fit)
    run = edgeseg.train(site, TrainConfig(**TINY, method="suponly", rep_dim=16)).path
    student = edgeseg.distill(site, DistillConfig(**TINY), teacher=run).path
    gates = {"max_drop": 100, "max_class_drop": 100, "min_speedup": 0, "calibration_frames": 4}
    config = ExportConfig(int8=fit == "letterbox", threads=1, ask_tensorrt=False, **gates)
    bundle = edgeseg.Bundle.open(edgeseg.export(site, config, student).bundle)
    assert bundle.manifest.fit == load_model(student).card.fit == fit

    val = site.frames("val")
    of_torch = evaluate_frames(load_model(student), site, val)
    pairs = [(site.path(frame.image), site.path(frame.mask or "")) for frame in val]
    place = fit_frame(fit, FRAME, IMGSZ)
    with edgeseg.open_runner(bundle, "cpu", "fp32") as runner:
        of_device = evaluate_runner(runner, pairs, len(CLASSES))
        image = read_image(pairs[0][0])
        assert image is not None
        prediction = edgeseg.predict_frame(runner, image)
        raw = runner(place.image(image)[None])
    # only what is seen is judged: all of a letterboxed frame, 60 of the 150 rows of a cropped one
    assert of_torch.sum() == of_device.sum() == len(val) * place.seen.height * place.seen.width
    assert np.abs(of_torch - of_device).sum() <= 0.002 * of_torch.sum()
    inside = place.inside_map(raw.entropy[0])
    gamma = np.float32(bundle.manifest.gamma_of("fp32"))
    assert prediction.score[0] == pytest.approx((inside > gamma).mean(), abs=1e-6)
    assert prediction.area[0].sum() == pytest.approx(1, abs=1e-5)

    save_pair(tmp_path / "new", 20)
    log = LogConfig(per_hour=1000, threshold=0.0)
    outputs = OutputTargets(masks=tmp_path / "masks", log=tmp_path / "log")
    edgeseg.infer(bundle, str(tmp_path / "new" / "images"), outputs, log_config=log)
    mask = read_mask(tmp_path / "masks" / "20.png")
    unseen = np.ones(FRAME, bool)
    unseen[place.seen.slices] = False
    assert mask.shape == FRAME and ((mask == IGNORE) == unseen).all()
    (record,) = map(read_record, iter_records(tmp_path / "log"))
    logged = record.mask()
    assert logged is not None
    assert logged.shape[0] / logged.shape[1] == pytest.approx(FRAME[0] / FRAME[1], rel=0.05)


def test_a_run_goes_on_only_as_it_began(tmp_path: Path) -> None:
    site = make_site(tmp_path, "letterbox")
    config = TrainConfig(**TINY, method="suponly", rep_dim=16)
    run = edgeseg.train(site, config).path
    changed = open_site(site.root, "crop")
    with pytest.raises(TrainError, match=r"begun with data\.fit 'letterbox'"):
        edgeseg.train(changed, config, out=run, resume=True)
    (run / "metrics.json").unlink()
    with pytest.raises(TrainError, match=r"begun with data\.fit 'letterbox'"):
        edgeseg.train(changed, config, out=run, resume=True)
