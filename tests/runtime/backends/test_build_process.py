"""The builder in a process of its own: whatever ends that process is one sentence, and nothing half
stays behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.bundle import Bundle
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.config import EngineConfig
from edgeseg.errors import EngineError
from edgeseg.runtime.backends import cuda_runtime
from edgeseg.runtime.backends.engine_cache import PLAN, EngineCache
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.backends.tensorrt.building import build_process, child_process
from edgeseg.runtime.backends.tensorrt.engine_provider import get_or_build_engine
from edgeseg.runtime.backends.tensorrt.libraries import NativeBackend
from tests.helpers.bundles import painted
from tests.helpers.engines import FAKES, JETSON, NEW, RTX, Box, engine_bundle, install

ROOT = Path(__file__).parents[3]
REAL = build_process._run_child


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return engine_bundle(tmp_path_factory.mktemp("engines") / "b")


def start(
    monkeypatch: pytest.MonkeyPatch, cache: Path, version: str = JETSON, faults: str = ""
) -> Box:
    """As `install`, but with real child processes, which find the stand-in."""
    box = install(monkeypatch, cache, version, compute=(8, 6))  # which both libraries serve
    monkeypatch.setattr(build_process, "_run_child", REAL)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAKES), str(ROOT)]))
    monkeypatch.setenv("EDGESEG_FAKE_TENSORRT", version)
    monkeypatch.setenv("EDGESEG_FAKE_FAULTS", faults)
    return box


def get(
    box: Box, bundle: Bundle, timeout: int = 60, **options: Any
) -> Any:  # Any: as `get_or_build_engine`
    data = read_verified_graph(bundle, "int8-trt")
    return get_or_build_engine(
        bundle,
        "int8-trt",
        data,
        EngineConfig(timeout=timeout),
        box.environment,
        report=box,
        **options,
    )


@pytest.mark.parametrize(("backend", "version"), [("tensorrt", NEW), ("tensorrt-rtx", RTX)])
def test_an_engine_of_the_child_runs_here(
    backend: NativeBackend,
    version: str,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start(monkeypatch, tmp_path, version)
    monkeypatch.chdir(bundle.path)  # where a numpy.py or tensorrt.py of somebody else might lie
    frame = painted(np.array([[0, 1], [2, 3]]))[None]
    with (
        open_runner(bundle, backend, "fp16") as run,
        open_runner(bundle, "cpu", "fp32") as reference,
    ):
        assert np.array_equal(run(frame).mask, reference(frame).mask)
    (record,) = EngineCache().entries()
    assert record.agreement == 100 or (record.agreement and record.agreement > 99.5)
    assert record.parts["typing"] == "strong" and record.seconds > 0


CRASHES = [
    (
        "abort",
        r"was killed by SIGABRT; the last it said: "
        r"Timing Runner: Conv_0 \(CaskConvolution\); free memory",
    ),
    ("exit", "ended with code 7; the last it said: Timing Runner"),
    ("build", "cannot build"),
]


@pytest.mark.parametrize(("fault", "sentence"), CRASHES)
def test_a_child_that_dies_is_a_sentence(
    fault: str, sentence: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = start(monkeypatch, tmp_path, faults=fault)
    with pytest.raises(EngineError, match=sentence) as caught:
        get(box, bundle)
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)
    (record,) = EngineCache().entries()
    assert record.tries == 1 and record.plan is None
    assert not list(tmp_path.rglob(PLAN)) and not list(tmp_path.rglob(".build-*"))


def test_a_child_that_hangs_is_ended(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = start(monkeypatch, tmp_path, faults="hang")
    with pytest.raises(
        EngineError, match=r"took longer than 3 s and was ended.*engine\.timeout=7200"
    ):
        get(box, bundle, timeout=3)
    assert not list(tmp_path.rglob(".build-*"))


def test_stop_ends_a_build_and_counts_as_no_failure(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, stop = start(monkeypatch, tmp_path, faults="hang"), threading.Event()
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), open_runner(bundle, report=box, stop=stop):
        pass
    assert time.monotonic() - began < 10 and EngineCache().entries() == []
    assert not list(tmp_path.rglob(".build-*"))


def test_a_child_without_tensorrt_shows_its_last_line(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = start(monkeypatch, tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("EDGESEG_FAKE_TENSORRT")
    with pytest.raises(
        EngineError, match=r"ended with code 1; the last it said: ModuleNotFoundError.*tensorrt"
    ):
        get(box, bundle)


KILLED = """
import sys
from pathlib import Path
from edgeseg.bundle import Bundle
from edgeseg.config import EngineConfig
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.runtime.backends.tensorrt import engine_provider
import tensorrt
bundle = Bundle.open(Path(sys.argv[1]))
data = read_verified_graph(bundle, "int8-trt")
environment = engine_provider.TensorRTEnvironment.detect()
engine_provider.get_or_build_engine(bundle, "int8-trt", data, EngineConfig(), environment)
"""


def test_kill_during_a_build_leaves_no_half_engine_and_no_child(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(monkeypatch, tmp_path, faults="hang")
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(bundle.path)], cwd=tmp_path)
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size for path in tmp_path.rglob(child_process.LOG)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    (folder,) = tmp_path.rglob(".build-*")
    process.send_signal(signal.SIGKILL)
    process.wait()
    while any(str(folder) in line for line in commands()):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.05)
    assert not list(tmp_path.rglob(PLAN)) and folder.exists()
    box = install(monkeypatch, tmp_path)
    assert get(box, bundle)[1] and not folder.exists()


def commands() -> list[str]:
    """The command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


@pytest.mark.tensorrt
def test_the_real_thing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device: `pytest -m tensorrt`. Built, tried out, and compared with ONNX Runtime.

    The tiny network's INT8 file is left out: whether TensorRT has an INT8 kernel for three channels
    is its own affair.
    """
    pytest.importorskip("tensorrt")
    if not cuda_runtime.has_gpu():
        pytest.skip("there is no GPU")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    real = engine_bundle(tmp_path / "b")
    frame = painted(np.array([[0, 1], [2, 3]]))[None]
    for flavour in ("fp32", "fp16"):
        with (
            open_runner(real, "tensorrt", flavour, streams=2) as run,
            open_runner(real, "cpu", "fp32") as reference,
        ):
            found, wanted = run(frame), reference(frame)
        assert (found.mask == wanted.mask).mean() > 0.995
        assert np.abs(found.entropy - wanted.entropy).max() < 0.05 and found.area == pytest.approx(
            wanted.area, abs=0.01
        )
