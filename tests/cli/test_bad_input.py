"""Bad input of every kind gives one clear sentence and exit code 1: never a traceback, never
something half done.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgeseg.atomic_files import lock_folder
from edgeseg.bundle import FLAVOURS
from edgeseg.cli.app import app
from edgeseg.config import LogConfig
from edgeseg.runtime.framelog.frame_log import FrameLog

CONFIG = """
[[classes]]
name = "a"
color = "#ff0000"
[[classes]]
name = "b"
color = "#00ff00"
[train]
encoder = "mobilenetv2_035"
weights = "none"
imgsz = [64, 64]
steps = 1
rep_dim = 16
"""


class Place:
    """A folder with a site, a bundle and some files, for a case to spoil."""

    def __init__(self, root: Path, bundle: Path) -> None:
        self.root = root
        self.site = root / "site"
        self.site.mkdir()
        (self.site / "edgeseg.toml").write_text(CONFIG)
        self.bundle = root / "bundle"
        shutil.copytree(bundle, self.bundle)
        self.pictures(2)

    def pictures(self, count: int, images: str = "images", masks: str = "masks") -> None:
        rng = np.random.default_rng(0)
        for name in (images, masks):
            (self.root / name).mkdir(exist_ok=True)
        for number in range(count):
            coarse = rng.integers(0, 255, (8, 8, 3), np.uint8)
            cv2.imwrite(str(self.root / images / f"{number}.png"), cv2.resize(coarse, (64, 64)))
            mask = rng.integers(0, 2, (64, 64)).astype(np.uint8)
            cv2.imwrite(str(self.root / masks / f"{number}.png"), mask)

    def stored(self) -> list[Path]:
        return [*self.site.rglob("frames/**/*.[pj][np]g"), *self.site.rglob("masks/**/*.png")]

    def mask(self, values: np.ndarray, name: str = "0.png") -> None:
        cv2.imwrite(str(self.root / "masks" / name), values)

    def add(self, *options: str) -> list[str]:
        return ["add", "labels", str(self.root / "images"), str(self.root / "masks"), *options]

    def infer(self, source: str) -> list[str]:
        return ["infer", str(self.bundle), "--source", source]

    def config(self, text: str) -> None:
        (self.site / "edgeseg.toml").write_text(text)

    def log(self) -> Path:
        folder = self.root / "log"
        image = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
        with FrameLog.open(
            folder, LogConfig(min_free_bytes=0), device="d", model="m", threshold=0.0
        ) as log:
            log.offer(image, camera="c", score=0.9, mask=None, entropy=None, monotonic_ns=1)
        return folder


Case = Callable[[Place], list[str]]
CASES: dict[str, tuple[Case, str]] = {}


def case(words: str) -> Callable[[Case], Case]:
    """Register a case; `words` must stand in the message."""

    def register(function: Case) -> Case:
        CASES[function.__name__] = function, words
        return function

    return register


@case("no edgeseg.toml")
def no_site(place: Place) -> list[str]:
    (place.site / "edgeseg.toml").unlink()
    return ["status"]


@case("train.stepps")
def unknown_key(place: Place) -> list[str]:
    place.config(CONFIG + "stepps = 3\n")
    return ["status"]


@case("TOML")
def broken_toml(place: Place) -> list[str]:
    place.config(CONFIG + "[train\n")
    return ["status"]


@case("classes.1.color")
def wrong_color(place: Place) -> list[str]:
    place.config(CONFIG.replace("#00ff00", "green"))
    return ["status"]


@case("classes share the name a")
def same_class_twice(place: Place) -> list[str]:
    place.config(CONFIG.replace('"b"', '"a"'))
    return ["status"]


@case("KEY=VALUE")
def set_without_value(place: Place) -> list[str]:
    return ["train", "--set", "train.steps"]


@case("train.steps")
def set_of_wrong_type(place: Place) -> list[str]:
    return ["train", "--set", "train.steps=many"]


@case("train.confidence does nothing in u2pl")
def set_of_a_key_that_the_method_does_not_read(place: Place) -> list[str]:
    return ["train", "--method", "u2pl", "--set", "train.confidence=0.9"]


@case("multiples of 32")
def odd_size(place: Place) -> list[str]:
    return ["train", "--imgsz", "100x100"]


@case("is no size")
def size_that_is_none(place: Place) -> list[str]:
    return ["train", "--imgsz", "big"]


@case("train.method")
def unknown_method(place: Place) -> list[str]:
    return ["train", "--method", "magic"]


@case("edgeseg.toml")
def init_over_a_site(place: Place) -> list[str]:
    return ["init", str(place.site)]


@case("nowhere")
def footage_that_is_not_there(place: Place) -> list[str]:
    return ["add", "footage", str(place.root / "nowhere.mp4")]


@case("empty")
def empty_folder(place: Place) -> list[str]:
    (place.root / "empty").mkdir()
    return ["add", "footage", str(place.root / "empty")]


@case("clip.mp4")
def video_without_bytes(place: Place) -> list[str]:
    (place.root / "clip.mp4").write_bytes(b"")
    return ["add", "footage", str(place.root / "clip.mp4")]


@case("0.png")
def class_out_of_range(place: Place) -> list[str]:
    place.mask(np.full((64, 64), 9, np.uint8))
    return place.add()


@case("0.png")
def mask_of_another_size(place: Place) -> list[str]:
    place.mask(np.zeros((32, 64), np.uint8))
    return place.add()


@case("1.png")
def mask_without_image(place: Place) -> list[str]:
    (place.root / "images" / "1.png").unlink()
    return place.add()


@case("0.png")
def truncated_mask(place: Place) -> list[str]:
    path = place.root / "masks" / "0.png"
    path.write_bytes(path.read_bytes()[:60])
    return place.add()


@case("0.png")
def truncated_image(place: Place) -> list[str]:
    path = place.root / "images" / "0.png"
    path.write_bytes(path.read_bytes()[:60])
    return place.add()


@case("0.png")
def color_that_no_class_has(place: Place) -> list[str]:
    place.mask(np.full((64, 64, 3), 77, np.uint8))
    return place.add()


@case("0.png")
def sixteen_bit_mask(place: Place) -> list[str]:
    place.mask(np.full((64, 64), 300, np.uint16))
    return place.add()


@case("split")
def unknown_split(place: Place) -> list[str]:
    return place.add("--split", "testing")


@case("0 labelled frames")
def train_without_labels(place: Place) -> list[str]:
    return ["train"]


@case("no train run to resume")
def resume_of_nothing(place: Place) -> list[str]:
    return ["train", "--resume"]


@case("no finished train run")
def distil_without_a_site_model(place: Place) -> list[str]:
    return ["distill"]


@case("train.device")
def device_that_is_none(place: Place) -> list[str]:
    return ["train", "--device", "abacus"]


@case("has no finished")
def export_without_a_run(place: Place) -> list[str]:
    return ["export"]


@case("is no run")
def export_of_a_folder_that_is_no_run(place: Place) -> list[str]:
    return ["export", str(place.root / "images")]


@case("is no bundle")
def bundle_that_is_none(place: Place) -> list[str]:
    return ["infer", str(place.root / "images"), "--source", str(place.root / "images")]


@case("damaged")
def bundle_with_a_flipped_bit(place: Place) -> list[str]:
    for name in (spec.file for spec in FLAVOURS.values()):
        path = place.bundle / name
        if path.exists():
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 4
            path.write_bytes(data)
    return place.infer(str(place.root / "images"))


@case("wrong size")
def bundle_cut_short(place: Place) -> list[str]:
    path = place.bundle / FLAVOURS["fp32"].file
    path.write_bytes(path.read_bytes()[:-1])
    return place.infer(str(place.root / "images"))


@case("manifest.json")
def manifest_that_is_no_json(place: Place) -> list[str]:
    (place.bundle / "manifest.json").write_text("{")
    return place.infer(str(place.root / "images"))


@case("manifest.json")
def manifest_of_a_newer_format(place: Place) -> list[str]:
    path = place.bundle / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    return place.infer(str(place.root / "images"))


@case("foreign files")
def manifest_that_points_elsewhere(place: Place) -> list[str]:
    path = place.bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"]["../secret"] = manifest["files"][FLAVOURS["fp32"].file]
    path.write_text(json.dumps(manifest))
    return place.infer(str(place.root / "images"))


@case("nothing.mp4")
def source_that_is_not_there(place: Place) -> list[str]:
    return place.infer(str(place.root / "nothing.mp4"))


@case("gopher")
def source_of_an_unknown_kind(place: Place) -> list[str]:
    return place.infer("gopher://camera")


@case("masks-only")
def source_without_pictures(place: Place) -> list[str]:
    (place.root / "masks-only").mkdir()
    (place.root / "masks-only" / "notes.txt").write_text("no picture")
    return place.infer(str(place.root / "masks-only"))


@case("nolog")
def log_that_is_not_there(place: Place) -> list[str]:
    return ["log", "ls", str(place.root / "nolog")]


@case("in use by another edgeseg process")
def two_runs_in_one_log(place: Place) -> list[str]:
    folder = place.log()
    place.held = lock_folder(folder)  # type: ignore[attr-defined]
    place.held.__enter__()  # type: ignore[attr-defined]
    return [*place.infer(str(place.root / "images")), "--log", str(folder)]


@case("bundle")
def adapt_without_a_champion(place: Place) -> list[str]:
    return ["adapt", str(place.log())]


@case("bundle")
def rollback_without_a_past(place: Place) -> list[str]:
    return ["adapt", "--rollback"]


@case("exclude")
def flags_that_exclude_each_other(place: Place) -> list[str]:
    return ["adapt", "--rollback", "--status"]


@case("0.png")
def eval_with_masks_of_other_classes(place: Place) -> list[str]:
    place.mask(np.full((64, 64), 200, np.uint8))
    return [
        "eval",
        str(place.bundle),
        "--images",
        str(place.root / "images"),
        "--masks",
        str(place.root / "masks"),
    ]


@pytest.mark.parametrize("name", CASES)
def test_one_sentence_and_exit_code_1(
    name: str,
    tmp_path: Path,
    bundle_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    function, expected = CASES[name]
    place = Place(tmp_path, bundle_path)
    monkeypatch.chdir(place.site)
    assert not place.stored()
    result = CliRunner().invoke(app, function(place))
    said = capfd.readouterr().err + result.output
    sentence = " ".join(said[said.rfind("error: ") :].split())
    assert result.exit_code == 1, said
    assert "Traceback" not in said
    assert sentence.startswith("error: ") and expected in sentence, said
    assert len(sentence) > 40, "says what, why and how to mend"
    assert not place.stored(), "nothing half done"
    assert not list(place.site.rglob(".*.tmp"))


def test_there_are_at_least_25_kinds() -> None:
    assert len(CASES) >= 25


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_said_and_leaves_the_site_usable(
    tmp_path: Path,
    bundle_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    place = Place(tmp_path, bundle_path)
    small = tmp_path / "small"
    small.mkdir()
    if os.system(f"mount -t tmpfs -o size=256k tmpfs {small} 2>/dev/null"):
        pytest.skip("this machine does not let us mount")
    try:
        (small / "edgeseg.toml").write_text(CONFIG)
        rng = np.random.default_rng(0)
        for number in range(40):
            cv2.imwrite(
                str(place.root / "images" / f"{number}.png"),
                rng.integers(0, 255, (96, 96, 3), np.uint8),
            )
        monkeypatch.chdir(small)
        result = CliRunner().invoke(app, ["add", "footage", str(place.root / "images")])
        said = capfd.readouterr().err + result.output
        assert result.exit_code == 1 and "error: " in said and "Traceback" not in said, said
        assert os.strerror(errno.ENOSPC) in said or "full" in said
        again = CliRunner().invoke(app, ["status", "--json"])
        assert again.exit_code == 0, again.output
    finally:
        monkeypatch.chdir(tmp_path)  # or the disk would be busy
        assert os.system(f"umount {small}") == 0
