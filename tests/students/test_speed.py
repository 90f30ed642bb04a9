"""`edgeseg bench --students`: edge networks are timed before any is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeseg.cli.app import app
from edgeseg.config import ClassSpec
from edgeseg.errors import TrainError
from edgeseg.models.model_files import ModelCard, save_card
from edgeseg.models.student_networks import Student
from edgeseg.site import Site
from edgeseg.students.speed import benchmark_images, benchmark_students, newest_trained_run
from tests.helpers.exporting import make_site

LRASPP = Student("lraspp", "mobilenetv2_035")
STDC = Student("stdc", "stdc1_025")
DDRNET = Student("ddrnet", "ddrnet_025")


def good(*words: object) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("students") / "site", val=3, unlabelled=3)


def make_run(
    site: Site, verb: str, student: Student, miou: float, classes: tuple[ClassSpec, ...]
) -> Path:
    run = site.make_run_folder(verb)
    save_card(
        run,
        ModelCard(arch=student.arch, encoder=student.encoder, classes=classes, height=64, width=96),
    )
    (run / "metrics.json").write_text(json.dumps({"miou": miou}))
    return run


def test_the_newest_finished_run_tells_how_good_a_student_is(site: Site) -> None:
    student, classes = Student("stdc", "stdc1_100"), site.config.classes
    assert newest_trained_run(site, student) is None
    first = make_run(site, "train", student, 50, classes)
    found = newest_trained_run(site, student)
    assert found is not None and (found.run, found.miou) == (first, 50)
    second = make_run(site, "distill", student, 40, classes)
    make_run(site, "distill", student, 90, classes[:2])  # of a site with other classes
    make_run(site, "distill", LRASPP, 90, classes)
    (make_run(site, "distill", student, 90, classes) / "metrics.json").write_text("{")
    (make_run(site, "distill", student, 90, classes) / "metrics.json").unlink()
    found = newest_trained_run(site, student)
    assert found is not None and (found.run, found.miou) == (second, 40)


def test_bench_students_in_a_site(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    student = STDC
    make_run(site, "distill", student, 71.25, site.config.classes)
    monkeypatch.chdir(site.root)
    done = good("bench", "--student", "/".join(student), "--imgsz", "32x64", "--threads", "1")
    assert (
        "41 of 41" in done.stdout
        and "71.2 (distill/exp" in done.stdout
        and "64x32, 3 classes" in done.stderr
    )
    assert "no mIoU yet" not in done.stderr


def test_bench_students_outside_of_a_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edgeseg.models.student_networks.STUDENTS", (DDRNET,))
    done = good(
        "bench", "--students", "--classes", 4, "--imgsz", "32x64", "--threads", "1", "--json"
    )
    assert "--encoder ddrnet_025 --weights none --set distill.encoder_lr=0.002" in done.stderr
    facts = json.loads(done.stdout)
    (row,) = facts["students"]
    assert (facts["height"], facts["width"], facts["classes"], facts["threads"]) == (32, 64, 4, 1)
    assert (row["arch"], row["encoder"], row["miou"]) == (*DDRNET, None) and row[
        "quantised"
    ] == row["convolutions"]
    assert row["fp32_ms"] > 0 and row["int8_ms"] > 0 and row["speedup"] > 0


def test_a_wrong_name_is_told_before_anything_is_measured() -> None:
    with pytest.raises(TrainError, match="no encoder resnet17"):
        benchmark_students(
            [STDC, Student("unet", "resnet17")], 3, benchmark_images(None, (64, 64)), threads=1
        )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--students"], "give it with --classes"),
        (["--students", "--classes", "3", "--frames", "9"], "--frames and --students disagree"),
        (["bundle", "--students", "--classes", "3"], "BUNDLE and --students disagree"),
        (["--student", "unet", "--classes", "3"], "is not ARCH/ENCODER"),
        (["--classes", "3"], "--classes goes with --students"),
        (
            ["--student", "stdc/stdc1_025", "--classes", "3", "--set", "distill.step=1"],
            "distill.step",
        ),
    ],
)
def test_bench_refuses_what_disagrees(
    words: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["bench", *words])
    assert result.exit_code == 1 and text in " ".join(result.output.split()), result.output
