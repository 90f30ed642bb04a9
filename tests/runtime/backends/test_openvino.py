"""OpenVINO runs a bundle's files as ONNX Runtime does, or not at all."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edgeseg import doctor
from edgeseg.bundle import Bundle, write_bundle
from edgeseg.bundle.golden_frames import GoldenFrames, dump_golden_frames, read_golden_frames
from edgeseg.cli.app import app
from edgeseg.errors import BundleError, DependencyError, EngineError, WrongFlavourError
from edgeseg.installation import install_command
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.backends.open_runner import open_runner, resolve_backend
from edgeseg.runtime.backends.openvino import compiled_models, library
from edgeseg.runtime.backends.openvino.golden_check import Differences
from tests.helpers.bundles import CLASSES, make_bundle, manifest, marked, network, painted
from tests.helpers.sites import Messages


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgeseg" / "engines"


@pytest.fixture
def bundle(bundle_path: Path) -> Bundle:
    """The tiny bundle, where OpenVINO is installed."""
    pytest.importorskip("openvino")
    return Bundle.open(bundle_path)


def edgeseg(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def frames(count: int) -> Iterator[Any]:
    generator = np.random.default_rng(3)
    for _ in range(count):
        yield painted(generator.integers(0, len(CLASSES), (4, 6)))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_predictions_are_those_of_onnx_runtime(
    precision: Any, bundle: Bundle, exact_sums: None
) -> None:
    batch = np.stack(list(frames(3))) // 2 + 30
    with open_runner(bundle, "cpu", precision) as run:
        expected = run(batch)
    with open_runner(bundle, "openvino", precision, threads=1) as run:
        found = run(batch)
        assert run.backend == "openvino" and run.flavour.startswith(precision)
    assert (found.mask == expected.mask).mean() > 0.995
    for name, most in (("entropy", 0.03), ("score", 0.03), ("area", 0.01)):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.shape == other.shape and one.dtype == other.dtype
        assert np.abs(one - other).max() < most
    assert found.mask.dtype == np.uint8


def test_streams_may_be_called_at_once_and_results_are_kept(bundle: Bundle) -> None:
    pictures = [frame[None] for frame in frames(20)]
    with open_runner(bundle, "openvino", "fp32", threads=2, streams=2) as run:
        assert run.streams == 2
        alone = [run(frame).mask for frame in pictures]
        with ThreadPoolExecutor(2) as pool:
            together = [prediction.mask for prediction in pool.map(run, pictures)]
    assert np.array_equal(alone, together) and not np.array_equal(alone[0], alone[1])


def test_what_was_compiled_is_kept_and_damage_is_compiled_over(bundle: Bundle, cache: Path) -> None:
    notes = Messages()

    def run() -> Any:
        with open_runner(bundle, "openvino", "fp32", threads=1, report=notes) as runner:
            return runner(next(frames(1))[None]).mask

    first = run()
    (plan,) = cache.glob("openvino-*/engine.plan")
    assert len(notes.lines) == 1 and "once" in notes.lines[0]
    assert np.array_equal(run(), first) and len(notes.lines) == 1
    plan.write_bytes(plan.read_bytes()[:-1])
    assert np.array_equal(run(), first) and len(notes.lines) == 2
    entry = json.loads((plan.parent / "engine.json").read_text())
    assert entry["agreement"] > 99.5 and not entry["refused"]


def test_without_a_place_for_the_cache_it_runs_all_the_same(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with open_runner(bundle, "openvino", "fp32", threads=1) as run:
        assert run(next(frames(1))[None]).mask.max() > 0


def wrong_bundle(bundle: Bundle, path: Path, **keep: Any) -> Bundle:
    """The tiny bundle with golden frames whose masks no engine gives."""
    golden = read_golden_frames(bundle)
    assert golden is not None
    masks = (golden.masks + 1).astype(np.uint8) % len(CLASSES)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    files["golden.npz"] = dump_golden_frames(GoldenFrames(golden.frames, masks))
    return write_bundle(path, bundle.manifest, files)


def test_a_model_that_gives_other_classes_is_refused_and_stays_so(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, notes = wrong_bundle(bundle, tmp_path / "b"), Messages()
    for _ in range(2):
        with (
            pytest.raises(EngineError, match=r"pixels agree.*--backend cpu") as caught,
            open_runner(wrong, "openvino", threads=1, report=notes),
        ):
            pass
    assert "\n" not in str(caught.value)
    compiled = [said for said in notes.lines if said.startswith("compiling")]
    assert len(compiled) == 2  # each file once: the verdict is kept
    with open_runner(wrong, "auto", threads=1) as run:
        assert run.backend == "cpu"


def test_without_golden_frames_nothing_runs(bundle: Bundle, tmp_path: Path) -> None:
    bare = write_bundle(tmp_path / "b", manifest(), {"model.onnx": bundle.read("model.onnx")})
    with (
        pytest.raises(EngineError, match="no golden frames to check OpenVINO with"),
        open_runner(bare, "openvino", threads=1),
    ):
        pass


def test_a_graph_that_it_cannot_load_is_one_sentence(bundle: Bundle, tmp_path: Path) -> None:
    model = network()
    model.graph.node[3].op_type = "NoSuchOperator"
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    files["model.int8-cpu.onnx"] = marked(model, "int8-cpu")
    odd = write_bundle(tmp_path / "b", bundle.manifest, files)
    with (
        pytest.raises(EngineError, match=r"OpenVINO .* cannot compile .*NoSuch") as caught,
        open_runner(odd, "openvino", "int8", threads=1),
    ):
        pass
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    notes = Messages()
    with open_runner(odd, "openvino", threads=1, report=notes) as run:
        assert run.flavour == "fp32"
    assert any("going on without model.int8-cpu.onnx" in said for said in notes.lines)


def test_a_damaged_bundle_is_refused_before_openvino_sees_it(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bundle.path, tmp_path / "b")
    data = bytearray((tmp_path / "b" / "model.onnx").read_bytes())
    data[-1] ^= 1
    (tmp_path / "b" / "model.onnx").write_bytes(data)
    monkeypatch.setattr(compiled_models, "CompileJob", None)
    with (
        pytest.raises(BundleError, match="damaged"),
        open_runner(tmp_path / "b", "openvino", "fp32", threads=1),
    ):
        pass


def test_bench_times_both_engines_and_infer_takes_the_winner(
    bundle: Bundle, tmp_path: Path
) -> None:
    done = edgeseg("bench", bundle.path, "--frames", 20, "--threads", 1, "--json")
    facts = json.loads(done.stdout)
    assert done.exit_code == 0 and facts["backend"] == "cpu"
    assert set(facts["files"]) == set(facts["openvino"]["files"]) == {"fp32", "int8-cpu"}
    assert facts["openvino"]["agreement"]["model.onnx"] > 99.5
    choice = facts["auto"]
    assert f"on {choice['backend']} is the fastest here" in done.stderr
    with open_runner(bundle, "auto", threads=1) as run:
        assert (run.backend, run.flavour) == (choice["backend"], choice["flavour"])
    assert any(choice["backend"] in line for line in doctor.examine(tmp_path).measured)


def test_bench_of_openvino_alone_chooses_nothing(bundle: Bundle, cache: Path) -> None:
    options = ("--backend", "openvino", "--frames", 20, "--threads", 1, "--json")
    facts = json.loads(edgeseg("bench", bundle.path, *options).stdout)
    assert facts["backend"] == "openvino" and set(facts["files"]) == {"fp32", "int8-cpu"}
    assert "auto" not in facts and not list(cache.glob("measured-*"))


def test_differences_have_limits_and_numbers_that_are_none_exceed_them() -> None:
    masks = np.zeros((2, 4, 4), np.uint8)
    golden = GoldenFrames(np.zeros((2, 4, 4, 3), np.uint8), masks)
    good = Prediction(
        masks[:1],
        np.full((1, 2, 2), 0.5, np.float32),
        np.array([0.2], np.float32),
        np.array([[1, 0]], np.float32),
    )

    def faults(precision: Any, **changes: Any) -> list[str]:
        found = [replace(good, **changes)] * 2
        return Differences.measure(found, [good] * 2, golden).faults(precision, 98.0)

    assert faults("fp32") == faults("int8") == []
    assert "0.00 % of the pixels" in faults("fp32", mask=masks[:1] + 1)[0]
    assert faults("int8", entropy=good.entropy + np.float32(0.04)) == []
    assert "entropies" in faults("fp32", entropy=good.entropy + np.float32(0.04))[0]
    assert "entropies" in faults("int8", entropy=good.entropy * np.float32(np.nan))[0]
    assert "scores" in faults("int8", score=good.score + np.float32(0.2))[0]


def test_it_runs_the_files_for_cpus(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", int8=False)
    with (
        pytest.raises(WrongFlavourError, match="cannot run int8-trt on openvino"),
        open_runner(bundle, "openvino", "int8-trt"),
    ):
        pass


def test_a_missing_openvino_names_the_extra(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(library, "is_installed", lambda: False)
    with (
        pytest.raises(DependencyError, match=re.escape(f"run `{install_command('openvino')}`")),
        open_runner(bundle_path, "openvino"),
    ):
        pass
    for command in ("bench", "infer"):
        source = () if command == "bench" else ("--source", tmp_path)
        done = edgeseg(command, bundle_path, *source, "--backend", "openvino")
        assert done.exit_code == 1 and done.stderr.count("\n") < 4, done.stderr
    with pytest.raises(DependencyError, match="OpenVINO is not installed; run `pip install"):
        resolve_backend("openvino")
    assert doctor.examine(tmp_path).openvino is None
    assert resolve_backend("auto") == "cpu"


def test_a_broken_openvino_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(name: str) -> None:
        raise OSError("libtbb.so.12: cannot open shared object file")

    monkeypatch.setattr(library, "is_installed", lambda: True)
    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(DependencyError, match=r"does not load \(libtbb.*--backend cpu"):
        library.import_openvino()
    assert "libtbb" in str(doctor.examine(tmp_path).openvino)
