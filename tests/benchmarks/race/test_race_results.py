"""What the race keeps, goes on from, counts and shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import peer_race
from benchmarks.race.accuracy import count_masks, summarize
from benchmarks.race.entries import Plan, own_budget, run_peer
from benchmarks.race.peer_data import convert_data_set, convert_mask
from benchmarks.race.peer_jobs import schedule
from benchmarks.race.results import Results
from benchmarks.race.speed import Course, RaceError
from benchmarks.race.tables import accuracy_table, speed_tables
from edgeseg.errors import DataError
from edgeseg.imaging.mask_png import encode_palette_png

COURSE = Course("here/clip.mp4", (384, 512), threads=1, frames=60, rounds=9)
FORMS = [{"name": "own", "side": "edgeseg"}, {"name": "peer", "side": "peer"}]
PALETTE = ((128, 0, 0), (0, 128, 0), (9, 9, 9))


def a_round(fps: float, cpu_ms: float) -> dict[str, float]:
    return {"fps": fps, "cpu_ms": cpu_ms, "peak_mb": 100.0}


def test_a_second_start_goes_on_with_the_same_race_only(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.rounds(COURSE, FORMS)["own"] = {"whole": [a_round(10, 20)]}
    results.save()
    again = Results(tmp_path)
    moved = Course("there/clip.mp4", (384, 512), threads=1, frames=60, rounds=20)
    assert again.rounds(moved, FORMS) == {"own": {"whole": [a_round(10, 20)]}}
    other = [FORMS[0] | {"digest": "other weights"}, FORMS[1]]
    assert again.rounds(COURSE, other) == {}


def test_a_training_of_another_budget_is_refused(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.entry("peer, random", {"frames": 100, "seed": 0})["weights"] = "best.pt"
    results.save()
    again = Results(tmp_path)
    assert again.entry("peer, random", {"frames": 100, "seed": 0})["weights"] == "best.pt"
    with pytest.raises(RaceError, match="begun with frames 100 instead of 200; give the same"):
        again.entry("peer, random", {"frames": 200, "seed": 0})


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 99}'])
def test_a_damaged_file_is_one_sentence(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "race.json").write_text(content)
    assert peer_race.main(["table", "--work", str(tmp_path)]) == 1
    assert "damaged or of another version; move it away" in capsys.readouterr().err
    assert (tmp_path / "race.json").read_text() == content


def test_tables_compare_with_the_fastest_peer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results(tmp_path)
    forms = [*FORMS, {"name": "slow peer", "side": "peer"}]
    results.rounds(COURSE, forms).update(
        {
            "own": {"whole": [a_round(60, 15), a_round(30, 17)]},
            "peer": {"whole": [a_round(50, 20), a_round(25, 20)]},
            "slow peer": {"whole": [a_round(10, 90), a_round(5, 95)]},
        }
    )
    entry = results.entry("edgeseg, random", {})
    iou = [50.0, None, *[1.0] * 9]
    figures = {"miou": 25.5, "low": 20.0, "high": 31.0, "frames": 2, "iou": iou}
    entry |= {"frames": 8, "figures": {"onnxruntime int8": figures}}
    results.save()
    assert peer_race.main(["table", "--work", str(tmp_path), "--markdown"]) == 0
    text = capsys.readouterr().out
    assert "| own | 45.0 | 60.0 | 16.0 | 1.20 | 1.25 | 100 |\n| peer |" in text
    assert "end to end, threads: 1, 2 rounds of 60 frames, x against peer" in text
    row = "| edgeseg, random | onnxruntime int8 | 8 | 25.50 | 20.0 to 31.0 | 50.0 | - |"
    assert row in text and (tmp_path / "race.markdown").read_text() == text.removesuffix("\n")


def test_tables_without_a_finished_round_or_training_are_none(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.rounds(COURSE, FORMS)
    results.entry("edgeseg, random", {})
    assert speed_tables(results.content["speed"]) == []
    assert accuracy_table(results.content["accuracy"], ["a"]).rows == ()


def test_palette_masks_become_gray_ids_with_255_for_ignored(tmp_path: Path) -> None:
    source, target = tmp_path / "palette.png", tmp_path / "gray.png"
    mask = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    source.write_bytes(encode_palette_png(mask, PALETTE))
    convert_mask(source, target, ["a", "b"], ignore=(2,))
    found = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    assert found is not None and found.tolist() == [[0, 1, 255], [255, 1, 0]]
    with pytest.raises(DataError, match=r"holds class 2, but the classes are 0 to 1"):
        convert_mask(source, target, ["a", "b"], ignore=())


def test_the_data_set_of_the_peer_links_images_and_names_classes(tmp_path: Path) -> None:
    source = tmp_path / "data"
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (source / kind / split).mkdir(parents=True)
        cv2.imwrite(str(source / "images" / split / "f.png"), np.zeros((2, 3, 3), np.uint8))
        mask = encode_palette_png(np.zeros((2, 3), np.uint8), PALETTE)
        (source / "labels" / split / "f.png").write_bytes(mask)
    description = convert_data_set(source, tmp_path / "peer", ["sky", 'a "b"'], ())
    assert 'names:\n  0: "sky"\n  1: "a \\"b\\""\n' in description.read_text()
    assert (tmp_path / "peer" / "images" / "val" / "f.png").resolve().is_relative_to(source)
    written = (tmp_path / "peer" / "masks" / "train" / "f.png").stat().st_mtime_ns
    convert_data_set(source, tmp_path / "peer", ["sky", 'a "b"'], ())
    assert (tmp_path / "peer" / "masks" / "train" / "f.png").stat().st_mtime_ns == written


def test_class_maps_are_counted_against_labels_without_void(tmp_path: Path) -> None:
    image, label = tmp_path / "f.jpg", tmp_path / "label.png"
    cv2.imwrite(str(label), np.array([[0, 1], [1, 11]], np.uint8))
    (tmp_path / "maps").mkdir()
    cv2.imwrite(str(tmp_path / "maps" / "f.png"), np.array([[0, 1], [0, 5]], np.uint8))
    counts = count_masks("camvid", [(image, label)], tmp_path / "maps")
    assert counts.sum() == 3 and counts[0, 0, 0] == counts[0, 1, 1] == counts[0, 1, 0] == 1
    figures = summarize(counts)
    assert figures["miou"] == 50 and figures["iou"][:3] == [50, 50, None]
    cv2.imwrite(str(tmp_path / "maps" / "f.png"), np.zeros((3, 2), np.uint8))
    with pytest.raises(RaceError, match="is 2x3 and its label 2x2"):
        count_masks("camvid", [(image, label)], tmp_path / "maps")


@pytest.mark.parametrize(
    ("frames", "expected"), [(1000, (3, 367)), (40, (1, 40)), (367, (1, 367)), (36_700, (100, 367))]
)
def test_frames_seen_become_whole_epochs(frames: int, expected: tuple[int, int]) -> None:
    assert schedule(frames, 367) == expected


def plan(work: Path) -> Plan:
    return Plan(
        work=work,
        data_set="camvid",
        data=work,
        size=(32, 32),
        frames=8,
        student=("deeplabv3plus", "mobilenetv2_100"),
        teacher="resnet18",
        model="yolo26n-sem",
        peer_python=None,
    )


def test_a_peer_that_fails_is_one_sentence_and_a_log(tmp_path: Path) -> None:
    with pytest.raises(RaceError, match="give --peer-python"):
        run_peer(plan(tmp_path), ["train"])
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'race: epoch 1'\necho 'no such network'\nexit 3\n")
    script.chmod(0o755)
    failing = replace(plan(tmp_path), peer_python=str(script))
    with pytest.raises(RaceError, match=r"peer's train ended with no such network; .*peer\.log"):
        run_peer(failing, ["train"])


def test_budgets_of_one_and_of_two_trainings_differ(tmp_path: Path) -> None:
    random = own_budget(plan(tmp_path), 8, distilled=False)
    best = own_budget(plan(tmp_path), 8, distilled=True)
    assert random == own_budget(plan(tmp_path / "elsewhere"), 8, distilled=False) != best
