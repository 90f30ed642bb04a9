"""`--backend auto` takes what `edgeseg bench` found fastest on this CPU, of what passed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeseg.bundle import Bundle
from edgeseg.errors import DependencyError, EngineError
from edgeseg.runtime.backends import measured_choice, open_runner
from edgeseg.runtime.backends.measured_choice import (
    MeasuredFile,
    Measurement,
    find_measurement,
    keep_measurement,
    kept_measurements,
)
from edgeseg.runtime.backends.openvino import library
from edgeseg.runtime.benchmark import FlavourTiming, TimedFile, measured_files
from tests.helpers.bundles import make_bundle
from tests.helpers.sites import Messages


def timed(backend: Any, flavour: Any, median: float, minimum: float, passed: bool = True) -> Any:
    return MeasuredFile(
        backend=backend, flavour=flavour, median_ms=median, minimum_ms=minimum, passed=passed
    )


def choice(*files: MeasuredFile, **request: Any) -> tuple[str, str] | None:
    best = Measurement(parts={}, files=files).fastest(**request)
    return (best.backend, best.flavour) if best is not None else None


ORT_FLOAT, ORT_INT8 = timed("cpu", "fp32", 20, 18), timed("cpu", "int8-cpu", 10, 9)
VINO_FLOAT = timed("openvino", "fp32", 15, 14)


def test_the_fastest_is_taken_and_openvino_only_where_no_accident_made_it_so() -> None:
    both = timed("openvino", "int8-cpu", 8, 7)
    by_medians_alone = timed("openvino", "int8-cpu", 8, 9.5)
    by_minima_alone = timed("openvino", "int8-cpu", 11, 7)
    everything = (ORT_FLOAT, ORT_INT8, VINO_FLOAT)
    assert choice(*everything) == ("cpu", "int8-cpu")
    assert choice(*everything, both) == ("openvino", "int8-cpu")
    for accident in (by_medians_alone, by_minima_alone):
        assert choice(*everything, accident) == ("cpu", "int8-cpu")
    assert choice(*everything, precision="fp32") == ("openvino", "fp32")
    assert choice(*everything, both, engines=["cpu"]) == ("cpu", "int8-cpu")
    assert choice(*everything, precision="fp16") is None


def test_what_did_not_pass_is_never_taken() -> None:
    wrong = timed("openvino", "int8-cpu", 5, 4, passed=False)
    assert choice(ORT_FLOAT, ORT_INT8, wrong) == ("cpu", "int8-cpu")
    broken = timed("cpu", "int8-cpu", 5, 4, passed=False)
    assert choice(ORT_FLOAT, broken, VINO_FLOAT) == ("openvino", "fp32")
    assert choice(broken) is None


def timing(milliseconds: float, agreement: float | None) -> FlavourTiming:
    made = FlavourTiming(agreement)
    made.seconds["infer"] = [milliseconds / 1000] * 3
    return made


def test_a_file_passes_by_the_golden_frames_as_tensorrt_engines_do(tmp_path: Path) -> None:
    bundle = make_bundle(
        tmp_path / "b", int8=False, figures={"int8-cpu": {"speedup": 2, "agreement": 96.5}}
    )
    for agreement, passes in ((95.6, True), (95.4, False), (None, False)):
        files = measured_files(
            bundle,
            {
                TimedFile("cpu", "fp32"): timing(20, None),
                TimedFile("cpu", "int8-cpu"): timing(10, agreement),
                TimedFile("openvino", "fp32"): timing(15, 99.4),
            },
        )
        assert [file.passed for file in files] == [True, passes, False]
        assert files[1].median_ms == files[1].minimum_ms == pytest.approx(10)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgeseg" / "engines"


def test_a_measurement_is_found_again_under_the_same_conditions_only(
    cache: Path, bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(bundle_path)
    assert find_measurement(bundle, 2) is None and kept_measurements() == []
    measurement, kept = keep_measurement(bundle, 2, [ORT_FLOAT, VINO_FLOAT])
    assert kept and find_measurement(bundle, 2) == measurement == kept_measurements()[0]
    assert find_measurement(bundle, 1) is None
    for name, value in (
        ("processor_identity", lambda: "another"),
        ("_onnxruntime_version", lambda: "onnxruntime 99"),
    ):
        with monkeypatch.context() as other:
            other.setattr(measured_choice, name, value)
            assert find_measurement(bundle, 2) is None
    monkeypatch.setattr(library, "installed_version", lambda: "2099.0")
    assert find_measurement(bundle, 2) is None


def test_damage_and_a_place_that_cannot_be_written_cost_the_choice_alone(
    cache: Path, bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(bundle_path)
    keep_measurement(bundle, 1, [ORT_FLOAT])
    (path,) = cache.glob("measured-*.json")
    path.write_bytes(path.read_bytes()[:-9])
    assert find_measurement(bundle, 1) is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    _, kept = keep_measurement(bundle, 1, [ORT_FLOAT])
    assert not kept and find_measurement(bundle, 1) is None


def test_only_the_newest_measurements_stay(
    cache: Path, bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured_choice, "MOST_MEASUREMENTS", 2)
    for threads in (1, 2, 3):
        keep_measurement(Bundle.open(bundle_path), threads, [ORT_FLOAT])
    assert len(kept_measurements()) == 2


def run_auto(bundle: Bundle, notes: Any, **request: Any) -> tuple[str, str]:
    with open_runner.open_runner(bundle, "auto", threads=1, report=notes, **request) as runner:
        return runner.backend, runner.flavour


def test_auto_takes_what_was_measured(cache: Path, bundle_path: Path) -> None:
    bundle, notes = Bundle.open(bundle_path), Messages()
    assert run_auto(bundle, notes) == ("cpu", "int8-cpu")
    slow_int8 = timed("cpu", "int8-cpu", 30, 30)
    keep_measurement(bundle, 1, [ORT_FLOAT, slow_int8])
    assert run_auto(bundle, notes) == ("cpu", "fp32")
    assert run_auto(bundle, notes, precision="int8") == ("cpu", "int8-cpu")
    keep_measurement(bundle, 1, [ORT_FLOAT, timed("cpu", "int8-cpu", 10, 9, passed=False)])
    assert run_auto(bundle, notes) == ("cpu", "fp32")
    assert run_auto(bundle, notes, precision="int8") == ("cpu", "int8-cpu")  # asked for by name


@pytest.mark.parametrize("error", [DependencyError("gone; install"), EngineError("no; update")])
def test_auto_goes_on_without_an_openvino_that_fails(
    error: Exception, cache: Path, bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, notes = Bundle.open(bundle_path), Messages()
    keep_measurement(bundle, 1, [ORT_FLOAT, ORT_INT8, timed("openvino", "int8-cpu", 8, 7)])

    def fail(*arguments: Any, **named: Any) -> None:
        raise error

    monkeypatch.setattr(open_runner, "open_openvino", fail)
    assert run_auto(bundle, notes) == ("cpu", "int8-cpu")
    assert notes.lines == [f"going on without OpenVINO: {error}"]


def test_where_nothing_was_measured_auto_says_how_to(
    cache: Path, bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Messages()
    monkeypatch.setattr(library, "is_installed", lambda: True)
    assert run_auto(Bundle.open(bundle_path), notes)[0] == "cpu"
    assert len(notes.lines) == 1 and "`edgeseg bench`" in notes.lines[0]
    monkeypatch.setattr(library, "is_installed", lambda: False)
    assert run_auto(Bundle.open(bundle_path), notes)[0] == "cpu"
    assert len(notes.lines) == 1
