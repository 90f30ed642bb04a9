"""Engines are built once, kept under everything they depend on, and used only if they passed on
this device.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.bundle import Bundle, write_bundle
from edgeseg.bundle.verification import read_verified_graph
from edgeseg.config import EngineConfig
from edgeseg.errors import EngineError
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.backends.tensorrt import build_worker, engine_acceptance
from edgeseg.runtime.backends.tensorrt.engine_acceptance import minimum_agreement
from edgeseg.runtime.backends.tensorrt.engine_cache import (
    ENTRY,
    MAX_ENGINES,
    PLAN,
    EngineCache,
    EngineEntry,
    engine_key,
)
from edgeseg.runtime.backends.tensorrt.engine_provider import engine_parts, get_or_build_engine
from tests.fakes.tensorrt_fake import VERSIONS
from tests.helpers.bundles import manifest, network, painted
from tests.helpers.engines import JETSON, NEW, OLD, Box, engine_bundle, install

FRAME = painted(np.array([[0, 1], [2, 3]]))[None]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return engine_bundle(tmp_path_factory.mktemp("engines") / "b")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    return install(monkeypatch, tmp_path / "cache")


def get(
    box: Box, bundle: Bundle, flavour: Any = "int8-trt", **options: Any
) -> tuple[EngineEntry, bytes]:  # Any: as `get_or_build_engine`
    config = options.pop("config", EngineConfig())
    return get_or_build_engine(
        bundle,
        flavour,
        read_verified_graph(bundle, flavour),
        config,
        box.tools,
        report=box,
        **options,
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_builds_once_then_finds_its_engine(
    version: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = install(monkeypatch, tmp_path, version)
    record, plan = get(box, bundle)
    assert (
        record.agreement is not None
        and record.least is not None
        and 99 < record.agreement >= record.least == 98
    )
    assert record.ms and record.evidence["int8_convolutions"] == 1 and record.evidence["reformats"]
    assert get(box, bundle) == (record, plan) and box.builds == 1
    assert len(box.said) == 1 and version in box.said[0] and "Fake Orin" in box.said[0]
    get(box, bundle, force=True)
    assert box.builds == 2


def test_the_folder_is_ours_alone_and_holds_nothing_half(
    box: Box, bundle: Bundle, tmp_path: Path
) -> None:
    get(box, bundle)
    folder = tmp_path / "cache" / "edgeseg" / "engines"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.name[:9] for path in folder.iterdir()) == [
        ".lock",
        "tensorrt-",
        "timing-" + "".join(next(folder.glob("timing-*")).name[7:9]),
    ]
    assert {path.name for path in next(folder.glob("tensorrt-*")).iterdir()} == {PLAN, ENTRY}


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
    record, _ = get(box, bundle)
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
    get(box, bundle)
    device = {
        name: value for name, value in change.items() if name not in ("version", "version_of_cuda")
    }
    other = install(monkeypatch, tmp_path / "cache", change.get("version", JETSON), **device)
    if "version_of_cuda" in change:
        other.cuda._version = change["version_of_cuda"]
    get(other, bundle)
    assert other.builds == 1


@pytest.mark.parametrize("config", [{"workspace_mb": 100}, {"level": 1}, {"dla": 0}], ids=str)
def test_other_settings_build_anew(config: dict[str, Any], box: Box, bundle: Bundle) -> None:
    box.trt.faults.add("dla")
    get(box, bundle)
    get(box, bundle, config=EngineConfig(**config))
    assert box.builds == 2
    assert ("Runtime.DLA_core = 0" in box.cuda.log) == ("dla" in config)
    get(
        box, bundle, config=EngineConfig(**config, timeout=5, graphs=False)
    )  # these do not change the engine
    assert box.builds == 2


def test_another_graph_builds_anew(box: Box, bundle: Bundle, tmp_path: Path) -> None:
    get(box, bundle)
    model = network()
    model.producer_name = "another"
    files = {name: bundle.read(name) for name in bundle.manifest.files} | {
        "model.onnx": model.SerializeToString()
    }
    get(box, bundle, "fp32")
    get(box, write_bundle(tmp_path / "other", bundle.manifest, files), "fp32")
    assert box.builds == 3


def place_of(record: EngineEntry) -> Path:
    return EngineCache().folder / f"tensorrt-{engine_key(record.parts)}"


DAMAGES = {
    "plan flipped": lambda place: (place / PLAN).write_bytes(
        b"X" + (place / PLAN).read_bytes()[1:]
    ),
    "plan cut": lambda place: (place / PLAN).write_bytes((place / PLAN).read_bytes()[:-1]),
    "plan gone": lambda place: (place / PLAN).unlink(),
    "json gone": lambda place: (place / ENTRY).unlink(),
    "json cut": lambda place: (place / ENTRY).write_bytes((place / ENTRY).read_bytes()[:-9]),
    "json of another": lambda place: (place / ENTRY).write_text(
        (place / ENTRY)
        .read_text()
        .replace('"level": "3"', '"level": "4"')
        .replace('"level":"3"', '"level":"4"')
    ),
    "json deep": lambda place: (place / ENTRY).write_text("[" * 100_000),
    "json foreign": lambda place: (place / ENTRY).write_text(
        json.dumps({**json.loads((place / ENTRY).read_text()), "format": 2})
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_of_any_kind_is_built_over(damage: str, box: Box, bundle: Bundle) -> None:
    record, plan = get(box, bundle)
    DAMAGES[damage](place_of(record))
    assert get(box, bundle)[1] == plan and box.builds == 2
    assert get(box, bundle)[1] == plan and box.builds == 2


def test_a_kept_engine_that_does_not_load_is_built_again_once(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, _ = get(box, bundle)
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
    ("deserialize", r"cannot load the engine.*TensorRT said: Serialization assertion"),
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
            get(box, bundle)
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
    assert get(box, bundle)[0].tries == 0


def test_without_a_person_a_build_is_tried_three_times(box: Box, bundle: Bundle) -> None:
    box.trt.faults.add("build")
    for _ in range(3):
        with pytest.raises(EngineError, match="cannot build"):
            get(box, bundle, persist=False)
    with pytest.raises(
        EngineError, match=r"in 3 tries .*cannot build.*`edgeseg build` tries again"
    ):
        get(box, bundle, persist=False)
    assert box.builds == 3


def test_int8_is_held_to_what_its_file_reached_at_export(bundle: Bundle, tmp_path: Path) -> None:
    def least(figures: Any, flavour: Any = "int8-trt") -> float:  # Any: of a manifest
        made = write_bundle(
            tmp_path / "f", manifest(figures=figures), {"model.onnx": network().SerializeToString()}
        )
        return minimum_agreement(made, flavour)

    assert [least({}), least({"int8-trt": 3}), least({"int8-trt": {"agreement": "x"}})] == [
        98,
        98,
        98,
    ]
    assert [least({"int8-trt": {"agreement": value}}) for value in (99.9, 97.0, 20.0)] == [
        98,
        96,
        90,
    ]
    assert least({"fp16": {"agreement": 20.0}}, "fp16") == least({}, "fp32") == 99.5


def test_a_bundle_without_golden_frames_has_nothing_to_check_an_engine_with(
    box: Box, tmp_path: Path
) -> None:
    bare = write_bundle(
        tmp_path / "bare", manifest(), {"model.onnx": network().SerializeToString()}
    )
    with pytest.raises(EngineError, match="no golden frames"):
        get(box, bare, "fp32")
    assert box.builds == 0


def test_fewer_int8_convolutions_than_the_file_has_are_a_warning(box: Box, tmp_path: Path) -> None:
    full = engine_bundle(tmp_path / "b", figures={"int8-trt": {"integer": 2}})
    record, _ = get(box, full)
    assert record.warnings == ("1 of 2 INT8 convolutions run in INT8; float: copied",)
    box.trt.faults.add("inspector")
    assert "told nothing" in get(box, full, force=True)[0].warnings[0]


def test_a_folder_that_cannot_be_written_is_a_sentence(
    box: Box, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EngineError, match=r"cannot be kept in .* set XDG_CACHE_HOME"):
        get(box, bundle)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "closed"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(EngineError, match="Permission denied"):
        get(box, bundle)


def test_a_folder_that_others_may_write_to_is_not_trusted(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = EngineCache().folder
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(EngineError, match="engines are code"):
        get(box, bundle)
    folder.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(EngineError, match="engines are code"):
        get(box, bundle)


def test_a_full_disk_is_a_sentence(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgeseg.runtime.backends.tensorrt.engine_cache.write_atomic", full)
    with pytest.raises(EngineError, match="No space left on device"):
        get(box, bundle)
    box.trt.faults.add("build")
    with pytest.raises(EngineError, match="cannot build"):
        get(box, bundle)


def test_only_the_newest_engines_stay(box: Box, bundle: Bundle) -> None:
    first, _ = get(box, bundle)
    cache = EngineCache()
    for number in range(MAX_ENGINES + 3):
        path = place_of(cache.store(EngineEntry(parts={"n": str(number)}), b"plan")) / ENTRY
        os.utime(path, (number + 1, number + 1))
    assert get(box, bundle)[0] == first  # used, so it counts as new
    cache.store(EngineEntry(parts={"n": "last"}), b"plan")
    kept = cache.entries()
    assert len(kept) == MAX_ENGINES and {"n": "last"} in [record.parts for record in kept]
    assert first.parts in [record.parts for record in kept] and {"n": "0"} not in [
        record.parts for record in kept
    ]


def test_the_second_of_two_builders_waits_and_takes_the_firsts_engine(
    box: Box, bundle: Bundle
) -> None:
    found: list[EngineEntry] = []
    inside, go = threading.Event(), threading.Event()
    original = box.run_child

    def slow(*arguments: Any) -> dict[str, Any]:  # Any: as run_child
        inside.set()
        assert go.wait(10)
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgeseg.runtime.backends.tensorrt.build_process._run_child", slow)
        threads = [
            threading.Thread(target=lambda: found.append(get(box, bundle)[0])) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        assert inside.wait(10)
        while not any("waiting" in line for line in box.said):
            time.sleep(0.01)
        go.set()
        for thread in threads:
            thread.join(10)
    assert box.builds == 1 and len(found) == 2 and found[0] == found[1]


def test_waiting_ends_with_patience_and_with_stop(box: Box) -> None:
    cache = EngineCache()
    cache.open()
    with cache.build_lock(1, lambda: False, lambda: None):
        with (
            pytest.raises(EngineError, match="another process has been building"),
            cache.build_lock(0.01, lambda: False, lambda: None),
        ):
            pass
        with pytest.raises(KeyboardInterrupt), cache.build_lock(10, lambda: True, lambda: None):
            pass


def test_what_a_killed_build_left_goes_with_the_next(box: Box, bundle: Bundle) -> None:
    cache = EngineCache()
    cache.open()
    (cache.folder / ".build-dead.tmp").mkdir()
    (cache.folder / ".build-dead.tmp" / "graph.onnx").write_bytes(b"x")
    get(box, bundle)
    assert not list(cache.folder.glob(".build-*"))


def test_the_handed_over_graph_is_checked_again(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = box.run_child

    def meddle(folder: Path, *rest: Any) -> dict[str, Any]:  # Any: as run_child
        (folder / build_worker.GRAPH).write_bytes(b"something else")
        return original(folder, *rest)

    monkeypatch.setattr("edgeseg.runtime.backends.tensorrt.build_process._run_child", meddle)
    with pytest.raises(EngineError, match="changed while it was handed over"):
        get(box, bundle)


def test_timings_of_kernels_are_kept_for_the_next_build(box: Box, bundle: Bundle) -> None:
    get(box, bundle)
    assert (
        next(EngineCache().folder.glob("timing-*.cache")).read_bytes()
        == f"timings of {JETSON}".encode()
    )
    box.cuda.log.clear()
    get(box, bundle, "fp16")
    assert box.cuda.log.count("IBuilderConfig.create_timing_cache()") == 1


def test_the_power_mode_is_information_and_no_part_of_the_key(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_acceptance, "power_mode", lambda: "pmode:0002")
    assert get(box, bundle)[0].power == "pmode:0002"
    monkeypatch.setattr(engine_acceptance, "power_mode", lambda: "pmode:0000")
    get(box, bundle)
    parts = engine_parts(box.tools, "int8-trt", EngineConfig(), "x")
    assert box.builds == 1 and "power" not in parts
