"""What is on the frontier, and what a budget chooses from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeseg.config import DistillConfig
from edgeseg.errors import ConfigError
from edgeseg.models.student_networks import RANKED, STUDENTS, Student
from edgeseg.site import Site
from edgeseg.students.budget import (
    Budget,
    TimedStudent,
    choose,
    parse_budget,
    ranking,
    read_device_file,
)
from edgeseg.students.candidates import (
    Candidate,
    candidates_of,
    distill_command,
    distill_settings,
    parse_student,
)
from edgeseg.students.frontier import CandidateResult, frontier, pareto
from tests.helpers.exporting import make_site

SMALL, LARGE = Student("edgenet", "edgenet_050"), Student("deeplabv3plus", "mobilenetv2_100")
SIZE = (192, 256)


def result(name: str, ms: float | None, miou: float | None, **others: Any) -> CandidateResult:
    candidate = Candidate(Student("lraspp", name), SIZE)
    return CandidateResult(candidate, 1, miou, miou, int8_ms=ms, fp32_ms=ms, **others)


def test_the_frontier_is_what_nothing_beats() -> None:
    points = {"a": (5.0, 40.0), "b": (8.0, 39.0), "c": (9.0, 45.0), "d": (9.0, 44.0)}
    assert pareto(points.items()) == ["a", "c"]
    assert pareto([("x", (2.0, 30.0)), ("y", (2.0, 30.0))]) == ["x"]  # a tie: one of them is enough
    assert pareto([]) == []


def test_what_would_not_ship_is_not_on_the_frontier() -> None:
    good = result("good", 9, 45.0)
    refused = result("refused", 5, 60.0, refused="INT8 lost 3 points")
    failed = result("failed", 4, 70.0, failed="no weights")
    assert frontier([refused, good, result("unfinished", None, None), failed]) == [good]


def test_every_student_at_every_size_once() -> None:
    found = candidates_of([SMALL, LARGE, SMALL], [SIZE, (384, 512)])
    assert len(found) == 4 and found[1].name == "edgenet/edgenet_050 at 384x512"
    assert found[0].folder_name == "edgenet-edgenet_050-192x256"


def test_students_are_written_by_parts_or_by_name() -> None:
    assert parse_student("lraspp/mobilenetv2_100") == ("lraspp", "mobilenetv2_100")
    assert parse_student("accurate") == RANKED[-1]
    with pytest.raises(ConfigError, match="take one of fast, balanced, accurate"):
        parse_student("slow")


def test_ranked_students_are_timed_by_default_too() -> None:
    assert set(RANKED) <= set(STUDENTS)


def test_networks_without_weights_learn_at_one_rate() -> None:
    config = DistillConfig(weights="own.safetensors", encoder_lr=1e-4, decoder_lr=3e-3)

    def settings(student: Student, **weights: str) -> DistillConfig:
        return distill_settings(config, Candidate(student, SIZE), steps=50, seed=2, weights=weights)

    own = settings(SMALL)
    assert (own.weights, own.encoder_lr, own.imgsz, own.seed) == ("none", 3e-3, SIZE, 2)
    assert own.eval_every == own.steps == 50
    usual = settings(LARGE)  # the encoder of the site's own settings
    assert (usual.weights, usual.encoder_lr) == ("own.safetensors", 1e-4)
    other = Student("lightfpn", "tf_efficientnet_lite0")
    assert settings(other).weights == "imagenet"
    assert settings(other, tf_efficientnet_lite0="x.safetensors").weights == "x.safetensors"


def test_a_site_with_a_student_from_random_weights_trains_the_others_as_usual() -> None:
    config = DistillConfig(student="fast", devices=2)
    for student, start, rate in ((LARGE, "imagenet", 4e-4), (SMALL, "none", config.decoder_lr)):
        candidate = Candidate(student, SIZE)
        settings = distill_settings(config, candidate, steps=50, seed=0, weights={})
        assert (settings.weights, settings.encoder_lr, settings.devices) == (start, rate, 1)


def test_the_command_for_a_candidate_is_one_that_trains() -> None:
    config = DistillConfig(imgsz=SIZE)
    assert distill_command(Candidate(LARGE, SIZE), config) == "edgeseg distill --student accurate"
    stdc = Candidate(Student("stdc", "stdc1_050"), (384, 512))
    assert distill_command(stdc, config) == (
        "edgeseg distill --encoder stdc1_050 --weights none --set distill.encoder_lr=0.002 "
        "--set distill.arch=stdc --imgsz 384x512"
    )


@pytest.mark.parametrize(
    ("text", "milliseconds", "file"),
    [("15ms", 15, None), ("40 FPS", 25, None), ("12.5ms@a b.json", 12.5, "a b.json")],
)
def test_a_budget_is_a_time_or_a_rate(text: str, milliseconds: float, file: str | None) -> None:
    assert parse_budget(text) == Budget(milliseconds, Path(file) if file else None)


@pytest.mark.parametrize("text", ["", "15", "ms", "0fps", "-3ms", "15ms@", "15 s"])
def test_other_texts_are_no_budget(text: str) -> None:
    with pytest.raises(ConfigError, match="is no time; write 15ms or 30fps"):
        parse_budget(text)


TIMED = [TimedStudent(SMALL, SIZE, 7.0), TimedStudent(LARGE, SIZE, 50.0)]


@pytest.mark.parametrize(("milliseconds", "chosen"), [(7.0, SMALL), (49.9, SMALL), (50.0, LARGE)])
def test_the_most_accurate_within_the_budget(milliseconds: float, chosen: Student) -> None:
    assert choose(Budget(milliseconds, None), TIMED, RANKED).student == chosen


def test_a_budget_that_nothing_keeps_says_what_would() -> None:
    with pytest.raises(ConfigError, match=r"edgenet_050 at 192x256, takes 7.0 ms .* is 5.0 ms"):
        choose(Budget(5.0, None), TIMED, RANKED)
    with pytest.raises(ConfigError, match="none of the students that were timed"):
        choose(Budget(5.0, None), TIMED, [])


def test_a_device_tells_its_times(tmp_path: Path) -> None:
    def engine(times: dict[str, float], *, passed: bool = True) -> dict[str, Any]:
        names = {name.replace("_", "-"): time for name, time in times.items()}
        files = {name: {"total": {"median_ms": time}} for name, time in names.items()}
        return {"files": files, "passed": dict.fromkeys(names, passed)}

    def row(encoder: str, **times: float) -> dict[str, Any]:
        facts = {"arch": "edgenet", "encoder": encoder, "height": 192, "width": 256}
        return facts | engine(times)

    beside = row("edgenet_100", int8_cpu=9.0) | {"openvino": engine({"int8_cpu": 8.0})}
    wrong = row("edgenet_075", int8_cpu=9.0) | {"openvino": engine({"int8_cpu": 1.0}, passed=False)}
    path = tmp_path / "device.json"
    bundles = [row("edgenet_050", fp32=2.0, int8_cpu=6.5), beside, wrong, row("x", fp32=1.0)]
    path.write_text(json.dumps({"bundles": bundles}))
    assert read_device_file(path) == [
        TimedStudent(SMALL, SIZE, 6.5),
        TimedStudent(Student("edgenet", "edgenet_100"), SIZE, 8.0),
        TimedStudent(Student("edgenet", "edgenet_075"), SIZE, 9.0),  # where it was right
    ]
    path.write_text(json.dumps(row("edgenet_050", int8_trt=3.0)))  # of a single bundle
    assert read_device_file(path) == [TimedStudent(SMALL, SIZE, 3.0)]
    with pytest.raises(ConfigError, match="does not exist; run `edgeseg bench BUNDLES --json`"):
        read_device_file(tmp_path / "lost.json")
    for text in ("", "[]", '{"bundles": [{}]}', '{"files": {}}'):
        path.write_text(text)
        with pytest.raises(ConfigError, match="is not what `edgeseg bench BUNDLES --json` prints"):
            read_device_file(path)


def save_results(site: Site, mious: dict[Student, float], **others: Any) -> None:
    out = site.make_run_folder("students")
    rows = [
        {"arch": arch, "encoder": encoder, "height": 192, "width": 256, "int8_miou": miou}
        | {"refused": "", "failed": ""}
        | others
        for (arch, encoder), miou in mious.items()
    ]
    (out / "results.json").write_text(json.dumps({"students": rows}))


def test_the_site_s_own_trials_order_what_they_compared(tmp_path: Path) -> None:
    site: Site = make_site(tmp_path / "site", val=1, unlabelled=1)
    assert ranking(site, SIZE) == list(RANKED)
    save_results(site, {LARGE: 41.0, SMALL: 43.0})
    swapped = [LARGE, *RANKED[1:-1], SMALL]
    assert ranking(site, SIZE) == swapped
    assert ranking(site, (384, 512)) == list(RANKED)  # tried at another size

    site.make_run_folder("students")  # trials that were not finished count no more than none
    assert ranking(site, SIZE) == swapped


def test_one_tried_student_does_not_rise_above_the_untried(tmp_path: Path) -> None:
    site: Site = make_site(tmp_path / "site", val=1, unlabelled=1)
    save_results(site, {SMALL: 90.0})
    assert ranking(site, SIZE) == list(RANKED)
    other = Student("lraspp", "mobilenetv2_100")
    save_results(site, {SMALL: 40.0, other: 50.0})
    assert ranking(site, SIZE) == [SMALL, other, *RANKED[1:]]


@pytest.mark.parametrize("reason", ["refused", "failed"])
def test_what_would_not_ship_does_not_rank(tmp_path: Path, reason: str) -> None:
    site: Site = make_site(tmp_path / "site", val=1, unlabelled=1)
    save_results(site, {LARGE: 1.0, SMALL: 99.0}, **{reason: "worse by 3 points"})
    assert ranking(site, SIZE) == list(RANKED)
