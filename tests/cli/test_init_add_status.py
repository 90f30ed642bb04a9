"""`edgeseg init`, `add` and `status` as a user types them: output, next steps, sentences instead of
tracebacks.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgeseg import bundle
from edgeseg.atomic_files import replace_link
from edgeseg.cli.app import app
from edgeseg.config import CONFIG_NAME, load_config
from edgeseg.config.template import create_site
from edgeseg.site import Site
from tests.helpers.footage import new_site, save_image, scene


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site that is the working directory."""
    made = new_site(tmp_path / "site")
    monkeypatch.chdir(made.root)
    return made


def run(*words: object, code: int = 0) -> tuple[str, str]:
    """Standard output and standard error of a command."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and (code or result.exception is None)
    return result.stdout, re.sub(r"\s+", " ", result.stderr)


def test_init_makes_a_site_that_loads(tmp_path: Path) -> None:
    out, err = run(
        "init", tmp_path / "river", "--classes", 'sky, water,"quoted" bank', "--name", "The river"
    )
    config = load_config(Path(out.strip()))
    assert (config.name, config.class_names) == ("The river", ("sky", "water", '"quoted" bank'))
    assert "next: cd" in err and "edgeseg add footage" in err
    run("init", tmp_path / "plain")
    assert load_config(tmp_path / "plain" / CONFIG_NAME).name == "plain"


def test_init_takes_the_shape_of_a_picture_or_video(tmp_path: Path) -> None:
    picture = save_image(tmp_path / "1.png", scene(1, 160, 90))
    out, err = run("init", tmp_path / "upright", "--like", picture)
    config = load_config(Path(out.strip()))
    assert config.train.imgsz == config.distill.imgsz == (576, 320)
    assert "imgsz is 576x320 (height x width), for frames of 160x90" in err
    _, err = run("init", tmp_path / "none", "--like", tmp_path / "no.mp4", code=1)
    assert "no.mp4 does not exist" in err and not (tmp_path / "none").exists()


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    path = create_site(tmp_path)
    path.write_text("mine")
    _, err = run("init", tmp_path, code=1)
    assert "exists" in err and path.read_text() == "mine"


@pytest.mark.parametrize("classes", ["one", "a,a", "a,,b", "a,A", ",".join(map(str, range(65)))])
def test_init_refuses_impossible_classes(tmp_path: Path, classes: str) -> None:
    _, err = run("init", tmp_path / "new", "--classes", classes, code=1)
    assert err.startswith("error: the new site has") and not (tmp_path / "new").exists()


def test_init_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _, err = run("init", tmp_path / "file" / "site", code=1)
    assert "cannot be written" in err


def test_the_first_evening(here: Site, tmp_path: Path) -> None:
    for number in range(90):
        save_image(tmp_path / "day" / f"{number}.jpg", scene(number))
    (tmp_path / "day" / "notes.txt").write_text("x")
    (tmp_path / "day" / "dead.png").write_text("x")
    _, err = run("add", "footage", tmp_path / "day", "--camera", "gauge")
    assert (
        "kept 90, near-duplicates 0" in err and "dead.png: is damaged" in err and "notes.txt" in err
    )
    assert "next: edgeseg label, or edgeseg add labels IMAGES MASKS" in err
    for number in range(0, 90, 5):
        save_image(tmp_path / "images" / f"{number}.jpg", scene(number))
        mask = (scene(number)[..., 0] > 128).astype(np.uint8)
        mask[:2] = 9
        save_image(tmp_path / "masks" / f"{number}.png", mask)
    _, err = run("add", "labels", tmp_path / "images", tmp_path / "masks", code=1)
    assert "there are 18 faults" in err and "--map 9=ignore" in err
    _, err = run("add", "labels", tmp_path / "images", tmp_path / "masks", "--ignore", 9)
    assert "18 labelled footage" in err and "kept out of training" in err

    out, err = run("status")
    assert (
        "gauge" in out
        and "water" in out
        and "no labelled frame shows bank" in err
        and "next: edgeseg train" in err
    )
    summary = json.loads(run("status", "--json")[0])
    counts = summary["frames"]["gauge"]
    assert (
        sum(counts.values()) == 90
        and counts["labelled"] >= 10
        and counts["val"] >= 3
        and counts["gate"] >= 2
    )
    assert counts["withheld"] > 0
    for split in ("labelled", "val", "gate"):
        shares = [summary["classes"][name][split] for name in ("sky", "water", "bank")]
        assert sum(shares) == pytest.approx(100, abs=0.001) and shares[2] == 0


def test_shares_are_of_pixels(here: Site, tmp_path: Path) -> None:
    mask = np.full((96, 128), 255, np.uint8)
    mask[:30], mask[30:40] = 0, 1
    run(
        "add",
        "labels",
        save_image(tmp_path / "a.jpg", scene(0)),
        save_image(tmp_path / "a.png", mask),
        "--split",
        "val",
    )
    summary = json.loads(run("status", "--json")[0])
    assert [shares["val"] for shares in summary["classes"].values()] == [75, 25, 0]
    assert summary["classes"]["sky"]["labelled"] is None
    assert summary["next"] == "edgeseg label, or edgeseg add labels IMAGES MASKS"


def test_status_of_an_empty_site(here: Site) -> None:
    summary = json.loads(run("status", "--json")[0])
    assert (summary["frames"], summary["runs"], summary["bundles"]) == ({}, [], [])
    assert summary["next"] == "edgeseg add footage PATH"
    run("status")


def test_status_lists_runs_and_bundles(here: Site) -> None:
    for name, text in (("exp1", '{"miou": 61.5}'), ("exp2", None), ("exp10", "not json")):
        folder = here.root / "runs" / "train" / name
        folder.mkdir(parents=True)
        if text:
            (folder / "metrics.json").write_text(text)
    manifest = bundle.Manifest(
        site="x",
        created="today",
        classes=here.config.classes,
        height=64,
        width=64,
        entropy_height=16,
        entropy_width=16,
        gamma=0.5,
        temperature=1,
        log_threshold=0.3,
        figures={},
        provenance={},
        files={},
        seq=4,
    )
    for name in ("one", "two"):
        bundle.write_bundle(here.root / "bundles" / name, manifest, {"model.onnx": b"graph"})
    (here.root / "bundles" / "one" / "model.onnx").write_bytes(b"cut")
    replace_link(here.current_bundle, "two")
    summary = json.loads(run("status", "--json")[0])
    assert [(entry["name"], entry["finished"], entry["miou"]) for entry in summary["runs"]] == [
        ("exp1", True, 61.5),
        ("exp2", False, None),
        ("exp10", False, None),
    ]
    one, two = summary["bundles"]
    assert (
        one["fault"]
        and not one["current"]
        and two["current"]
        and two["seq"] == 4
        and not two["fault"]
    )
    out, _ = run("status")
    assert "61.50" in out and "current" in out and "damaged" in out
    replace_link(here.current_bundle, "one")
    assert "the current bundle is damaged" in run("status")[1]


def test_damage_is_a_warning(here: Site, tmp_path: Path) -> None:
    run(
        "add",
        "labels",
        save_image(tmp_path / "a.jpg", scene(0)),
        save_image(tmp_path / "a.png", np.zeros((96, 128), np.uint8)),
    )
    [frame] = here.frames()
    here.path(frame.image).unlink()
    here.path(frame.mask or "").write_text("x")
    _, err = run("status")
    assert "1 image files are gone" in err and "is missing or damaged" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add", "footage", "nowhere"), "matches no file"),
        (("add", "footage", "."), "holds no video or image"),
        (("add", "footage", ".", "--set", "data.fps=0"), "data.fps"),
        (("add", "footage", ".", "--camera", "a/b"), "cannot be part of a file name"),
        (("add", "labels", "a", "b"), "a does not exist"),
        (("add", "labels", ".", ".", "--split", "test"), "there is no split 'test'"),
        (("add", "labels", ".", ".", "--ignore", "300"), "--ignore 300"),
        (("status", "--set", "data.nonsense=1"), "data.nonsense"),
    ],
)
def test_mistakes_are_one_sentence(here: Site, words: tuple[str, ...], sentence: str) -> None:
    _, err = run(*words, code=1)
    assert err.startswith("error: ") and sentence in err


def test_a_damaged_index_is_named(here: Site) -> None:
    here.index.write_text("{}\n")
    assert "line 1 is damaged" in run("status", code=1)[1]


@pytest.mark.parametrize(
    "words", [("status",), ("add", "footage", "x"), ("add", "labels", "x", "y")]
)
def test_outside_a_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "edgeseg init" in run(*words, code=1)[1]
