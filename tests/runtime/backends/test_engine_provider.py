"""Engines are built once, kept under everything they depend on, and used only if they passed on
this device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.bundle import Bundle, write_bundle
from edgeseg.config import EngineConfig
from edgeseg.errors import EngineError
from edgeseg.runtime.backends.engine_cache import PLAN, EngineCache, EngineEntry, engine_key
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.backends.tensorrt.building import build_worker
from tests.fakes.tensorrt_fake import VERSIONS
from tests.helpers.bundles import manifest, network, painted
from tests.helpers.engines import JETSON, NEW, OLD, Box, engine_bundle, get_engine, install

FRAME = painted(np.array([[0, 1], [2, 3]]))[None]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return engine_bundle(tmp_path_factory.mktemp("engines") / "b")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    return install(monkeypatch, tmp_path / "cache")


def place_of(record: EngineEntry) -> Path:
    return EngineCache().folder / f"tensorrt-{engine_key(record.parts)}"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_builds_once_then_finds_its_engine(
    version: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = install(monkeypatch, tmp_path, version)
    record, plan = get_engine(box, bundle)
    assert (
        record.agreement is not None
        and record.least is not None
        and 99 < record.agreement >= record.least == 98
    )
    assert record.ms and record.evidence["int8_convolutions"] == 1 and record.evidence["reformats"]
    assert get_engine(box, bundle) == (record, plan) and box.builds == 1
    assert len(box.said) == 1 and version in box.said[0] and "Fake Orin" in box.said[0]
    get_engine(box, bundle, force=True)
    assert box.builds == 2


PARTS = {
    "format": "2",
    "onnx": "0" * 64,
    "tensorrt": "10.3.1",
    "cuda": "12.7",
    "device": "Other",
    "compute": "8.9",
    "multiprocessors": "9",
    "system": "linux-other",
    "flavour": "fp16",
    "typing": "strong",
    "flags": "INT8",
    "workspace_mb": "513",
    "level": "4",
    "profiles": "dynamic",
    "dla": "0",
}


@pytest.mark.parametrize("part", PARTS)
def test_a_difference_in_any_part_is_another_engine(part: str, box: Box, bundle: Bundle) -> None:
    record, _ = get_engine(box, bundle)
    cache = EngineCache()
    assert record.parts.keys() == PARTS.keys() and cache.find(record.parts)
    assert cache.find({**record.parts, part: PARTS[part]}) is None


CHANGES: list[tuple[str, dict[str, Any]]] = [  # Any: as install
    ("version", {"version": NEW}),
    ("name", {"name": "Fake Thor"}),
    ("compute", {"compute": (11, 0)}),
    ("cores", {"multiprocessors": 16}),
    ("cuda", {"version_of_cuda": 13000}),
]


@pytest.mark.parametrize(("what", "change"), CHANGES, ids=[name for name, _ in CHANGES])
def test_another_machine_builds_anew(
    what: str,
    change: dict[str, Any],
    box: Box,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    get_engine(box, bundle)
    device = {
        name: value for name, value in change.items() if name not in ("version", "version_of_cuda")
    }
    other = install(monkeypatch, tmp_path / "cache", change.get("version", JETSON), **device)
    if "version_of_cuda" in change:
        other.cuda._version = change["version_of_cuda"]
    get_engine(other, bundle)
    assert other.builds == 1


@pytest.mark.parametrize("config", [{"workspace_mb": 100}, {"level": 1}, {"dla": 0}], ids=str)
def test_other_settings_build_anew(config: dict[str, Any], box: Box, bundle: Bundle) -> None:
    box.trt.faults.add("dla")
    get_engine(box, bundle)
    get_engine(box, bundle, config=EngineConfig(**config))
    assert box.builds == 2
    assert ("Runtime.DLA_core = 0" in box.cuda.log) == ("dla" in config)
    get_engine(
        box, bundle, config=EngineConfig(**config, timeout=5, graphs=False)
    )  # these do not change the engine
    assert box.builds == 2


def test_another_graph_builds_anew(box: Box, bundle: Bundle, tmp_path: Path) -> None:
    get_engine(box, bundle)
    model = network()
    model.producer_name = "another"
    files = {name: bundle.read(name) for name in bundle.manifest.files} | {
        "model.onnx": model.SerializeToString()
    }
    get_engine(box, bundle, "fp32")
    get_engine(box, write_bundle(tmp_path / "other", bundle.manifest, files), "fp32")
    assert box.builds == 3


def test_a_kept_engine_that_does_not_load_is_built_again_once(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, _ = get_engine(box, bundle)
    place = place_of(record)
    fake = b'FAKEPLAN{"version": "another"}\n'
    EngineCache().store(record, fake)
    assert (place / PLAN).read_bytes() == fake
    with open_runner(bundle, "tensorrt", "int8", report=box) as run:
        assert run.backend == "tensorrt"
    assert box.builds == 2 and "built again" in box.said[1]


REFUSALS = [
    (
        "wrong-mask",
        r"gives only \d+\.\d\d % of the golden pixels .*less than 98\.00 %, so it is not used",
    ),
    ("float", r"none of the 2 convolutions of model\.int8-trt\.onnx runs in INT8"),
    ("build", "cannot build"),
    ("parse", "cannot read"),
    ("builder", "cannot start"),
    ("context", "no memory left"),
    ("deserialize", r"cannot load the engine.*TensorRT said: .*Serialization assertion"),
    ("types", "engine's score"),
    ("execute", "could not start"),
    ("infer_shapes", "leaves image open"),
    ("address", "memory for 'score'"),
]


@pytest.mark.parametrize(("fault", "sentence"), REFUSALS)
@pytest.mark.parametrize("version", [OLD, JETSON, NEW])
def test_a_bad_engine_is_refused_remembered_and_never_kept(
    version: str,
    fault: str,
    sentence: str,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    box = install(monkeypatch, tmp_path, version, {fault})
    for attempt in (1, 2):
        with pytest.raises(EngineError, match=sentence):
            get_engine(box, bundle)
        (record,) = EngineCache().entries()
        assert (
            record.plan is None
            and record.tries == attempt
            and record.refused
            and box.builds == attempt
        )
    assert (
        not list(tmp_path.rglob(PLAN))
        and not list(tmp_path.rglob(".build-*"))
        and box.cuda.balanced
    )
    box.trt.faults.clear()
    assert get_engine(box, bundle)[0].tries == 0


def test_without_a_person_a_build_is_tried_three_times(box: Box, bundle: Bundle) -> None:
    box.trt.faults.add("build")
    for _ in range(3):
        with pytest.raises(EngineError, match="cannot build"):
            get_engine(box, bundle, persist=False)
    with pytest.raises(
        EngineError, match=r"in 3 tries .*cannot build.*`edgeseg build` tries again"
    ):
        get_engine(box, bundle, persist=False)
    assert box.builds == 3


def test_a_bundle_without_golden_frames_has_nothing_to_check_an_engine_with(
    box: Box, tmp_path: Path
) -> None:
    bare = write_bundle(
        tmp_path / "bare", manifest(), {"model.onnx": network().SerializeToString()}
    )
    with pytest.raises(EngineError, match="no golden frames"):
        get_engine(box, bare, "fp32")
    assert box.builds == 0


def test_the_handed_over_graph_is_checked_again(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = box.run_child

    def meddle(folder: Path, *rest: Any) -> dict[str, Any]:  # Any: as run_child
        (folder / build_worker.GRAPH).write_bytes(b"something else")
        return original(folder, *rest)

    monkeypatch.setattr(
        "edgeseg.runtime.backends.tensorrt.building.build_process._run_child", meddle
    )
    with pytest.raises(EngineError, match="changed while it was handed over"):
        get_engine(box, bundle)
