"""`edgeseg log` shows what is in a frame log and never answers with a traceback."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from edgeseg.cli.app import app
from edgeseg.config import LogConfig
from edgeseg.runtime.framelog.frame_log import FrameLog
from edgeseg.runtime.framelog.frame_selection import LogCandidate
from edgeseg.runtime.framelog.reader import iter_records
from edgeseg.runtime.framelog.record_format import read_record

HEIGHT, WIDTH = 60, 80


def image(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return coarse.repeat(10, 0).repeat(10, 1)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["log", *map(str, arguments)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three records: one for its score with everything, one control frame without a mask, one
    flagged.
    """
    folder = tmp_path / "log"
    mask = np.arange(6, dtype=np.uint8).reshape(2, 3).repeat(10, 0).repeat(10, 1)
    entropy = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    reasons = [
        LogCandidate("score", 1.0, ()),
        LogCandidate("random", 0.02, ()),
        LogCandidate("flagged", 1.0, ("frozen",)),
    ]
    with FrameLog.open(
        folder,
        LogConfig(min_free_bytes=0),
        device="d",
        model="m",
        threshold=0.3,
        clock=lambda: 1.75e9,
    ) as writer:
        for seed, candidate in enumerate(reasons):
            writer.put(
                image(seed),
                camera="north [red]gate\x1b[2J",
                score=0.9 - seed / 4,
                mask=None if seed == 1 else mask,
                entropy=entropy,
                monotonic_ns=seed,
                candidate=candidate,
            )
    return folder


def test_ls_is_a_table_of_the_records_in_order(log: Path) -> None:
    result = run("ls", log)
    assert result.exit_code == 0
    rows = [line for line in result.stdout.splitlines() if "north" in line]
    assert [
        next(word for word in row.split() if word in ("score", "random", "flagged")) for row in rows
    ] == ["score", "random", "flagged"]
    assert "2025-06-15 15:06:40" in rows[0]
    assert "0.900" in rows[0]
    assert "[red]" in rows[0]  # a name is no markup
    assert "\x1b[2J" not in result.stdout  # and no command to the terminal
    assert f"edgeseg log show {log}" in result.stderr.replace("\n", "")


def test_ls_as_json_has_every_header(log: Path) -> None:
    result = run("ls", log, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["boot"], line["seq"], line["reason"], line["probability"]) for line in lines] == [
        (1, 0, "score", 1.0),
        (1, 1, "random", 0.02),
        (1, 2, "flagged", 1.0),
    ]
    assert [Path(line["path"]) for line in lines] == list(iter_records(log))


def test_an_empty_log_lists_nothing(tmp_path: Path) -> None:
    FrameLog.open(
        tmp_path, LogConfig(min_free_bytes=0), device="d", model="m", threshold=0.3
    ).close()
    result = run("ls", tmp_path, "--json")
    assert (result.exit_code, result.stdout) == (0, "")


def test_show_prints_the_header_and_lays_the_mask_over_the_frame(log: Path, tmp_path: Path) -> None:
    path = next(iter_records(log))
    digest = path.stem.rpartition("-")[2]
    output = tmp_path / "seen.png"
    result = run("show", log, digest[:12], "--output", output, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert (facts["id"][:32], facts["score"], facts["overlay"]) == (digest, 0.9, str(output))
    picture = cv2.imread(str(output))
    assert picture is not None
    original = read_record(path).image()[:, :, ::-1]
    assert picture.shape == (HEIGHT, WIDTH, 3)
    blocks = [
        (picture[y : y + 30, x : x + 26].astype(int) - original[y : y + 30, x : x + 26] // 2)
        .reshape(-1, 3)
        .mean(0)
        for y in (0, 30)
        for x in (0, 27, 54)
    ]
    assert (
        min(np.abs(a - b).max() for i, a in enumerate(blocks) for b in blocks[:i]) > 10
    )  # a color for each class


def test_show_writes_beside_you_and_uses_the_colors_of_the_site(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = "".join(
        f'[[classes]]\nname = "c{i}"\ncolor = "#0000{i * 40:02x}"\n' for i in range(6)
    )
    (tmp_path / "edgeseg.toml").write_text(classes)
    monkeypatch.chdir(tmp_path)
    path = next(iter_records(log))
    result = run("show", log, "0000000000")
    assert result.exit_code == 0, result.output
    assert 'reason: "score"' in result.stdout
    picture = cv2.imread(f"{path.stem}-overlay.png")
    assert picture is not None
    darkened = read_record(path).image() // 2
    np.testing.assert_array_equal(
        picture[:, :, 2], darkened[:, :, 0]
    )  # nothing red in these colors
    assert int(picture[59, 79, 0]) == int(darkened[59, 79, 2]) + 100


def test_export_writes_plain_files(log: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    for _ in range(2):  # the second time changes nothing
        result = run("export", log, "--output", output, "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout) == {"output": str(output), "exported": 3, "bad": []}
    paths = list(iter_records(log))
    assert {path.stem for path in (output / "images").iterdir()} == {path.stem for path in paths}
    assert {path.stem for path in (output / "masks").iterdir()} == {paths[0].stem, paths[2].stem}
    record = read_record(paths[0])
    assert (output / "images" / f"{paths[0].stem}.jpg").read_bytes() == record.parts["image"]
    with Image.open(output / "masks" / f"{paths[0].stem}.png") as opened:
        assert opened.mode == "P"  # class ids for programs, colors for people
        mask = np.asarray(opened)
    assert mask.shape == (HEIGHT, WIDTH)
    assert [int(mask[y, x]) for y in (0, 59) for x in (0, 40, 79)] == [0, 1, 2, 3, 4, 5]
    facts = json.loads((output / "records" / f"{paths[0].stem}.json").read_text())
    assert facts["id"] == record.id
    assert "edgeseg add" in result.stderr


def test_damage_is_named_and_the_rest_is_exported(log: Path, tmp_path: Path) -> None:
    good, bad, gone = iter_records(log)
    data = bytearray(bad.read_bytes())
    data[-1] ^= 1
    bad.write_bytes(data)
    gone.unlink()
    (good.parent / "note.txt").write_text("hello")
    for arguments in (("verify", log), ("export", log, "--output", tmp_path / "out")):
        result = run(*arguments)
        assert result.exit_code == 1
        assert bad.name in result.stderr.replace("\n", "")
    assert len(list((tmp_path / "out" / "images").iterdir())) == 1
    report = json.loads(run("verify", log, "--json").stdout)
    assert report["good"] == 1
    assert sorted(Path(line.split()[0]).name for line in report["bad"]) == sorted(
        [bad.name, "note.txt"]
    )


def test_the_newest_log_is_found_in_site_and_run_folder(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("ls")
    assert result.exit_code == 1
    assert "--log auto" in result.stderr
    for number in (9, 10):
        shutil.copytree(log, tmp_path / "runs" / "infer" / f"exp{number}" / "log")
    newest = tmp_path / "runs" / "infer" / "exp10" / "log"
    next(iter_records(newest)).unlink()
    os.utime(newest.parent.with_name("exp9") / "log" / "ready", (1, 1))
    for arguments in (("ls", "--json"), ("verify",), ("export", "--output", "out")):
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        assert "2 records" in result.output
    assert f"edgeseg log ls {newest}" in run("verify").stderr


def test_verify_is_quiet_about_a_good_log(log: Path) -> None:
    result = run("verify", log)
    assert (result.exit_code, result.stdout) == (0, "3 records are good, 0 files are bad\n")


def test_mistakes_end_in_one_sentence(log: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cases = {
        ("ls", tmp_path / "missing"): "is no frame log",
        ("verify", tmp_path): "is no frame log",
        ("export", tmp_path / "file", "--output", tmp_path / "o"): "is no frame log",
        ("export", log, "--output", tmp_path / "file"): "choose another --output",
        ("show", log, "nosuch"): "has no record with 'nosuch'",
        ("show", log, "000001-"): "has 3 records with '000001-'",
        (
            "show",
            log,
            "0000000000",
            "--output",
            tmp_path / "file" / "x.png",
        ): "choose another --output",
    }
    for arguments, sentence in cases.items():
        result = run(*arguments)
        assert result.exit_code == 1
        last = result.stderr.splitlines()[-1]
        assert last.startswith("error: ")
        assert sentence in last
        assert "Traceback" not in result.output
