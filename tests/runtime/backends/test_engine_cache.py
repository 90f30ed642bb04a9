"""The cache of engines: ours alone, whole or not at all, and one build at a time."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from edgeseg.bundle import Bundle
from edgeseg.errors import EngineError
from edgeseg.runtime.backends.engine_cache import (
    ENTRY,
    MAX_ENGINES,
    PLAN,
    EngineCache,
    EngineEntry,
    engine_key,
)
from tests.helpers.engines import JETSON, Box, engine_bundle, get_engine, install


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return engine_bundle(tmp_path_factory.mktemp("engines") / "b")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    return install(monkeypatch, tmp_path / "cache")


def test_the_folder_is_ours_alone_and_holds_nothing_half(
    box: Box, bundle: Bundle, tmp_path: Path
) -> None:
    get_engine(box, bundle)
    folder = tmp_path / "cache" / "edgeseg" / "engines"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.name[:9] for path in folder.iterdir()) == [
        ".lock",
        "tensorrt-",
        "timing-" + "".join(next(folder.glob("timing-*")).name[7:9]),
    ]
    assert {path.name for path in next(folder.glob("tensorrt-*")).iterdir()} == {PLAN, ENTRY}


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
    record, plan = get_engine(box, bundle)
    DAMAGES[damage](place_of(record))
    assert get_engine(box, bundle)[1] == plan and box.builds == 2
    assert get_engine(box, bundle)[1] == plan and box.builds == 2


def test_a_folder_that_cannot_be_written_is_a_sentence(
    box: Box, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EngineError, match=r"cannot be kept in .* set XDG_CACHE_HOME"):
        get_engine(box, bundle)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "closed"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(EngineError, match="Permission denied"):
        get_engine(box, bundle)


def test_a_folder_that_others_may_write_to_is_not_trusted(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = EngineCache().folder
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(EngineError, match="engines are code"):
        get_engine(box, bundle)
    folder.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(EngineError, match="engines are code"):
        get_engine(box, bundle)


def test_a_full_disk_is_a_sentence(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgeseg.runtime.backends.engine_cache.write_atomic", full)
    with pytest.raises(EngineError, match="No space left on device"):
        get_engine(box, bundle)
    box.trt.faults.add("build")
    with pytest.raises(EngineError, match="cannot build"):
        get_engine(box, bundle)


def test_only_the_newest_engines_stay(box: Box, bundle: Bundle) -> None:
    first, _ = get_engine(box, bundle)
    cache = EngineCache()
    for number in range(MAX_ENGINES + 3):
        path = place_of(cache.store(EngineEntry(parts={"n": str(number)}), b"plan")) / ENTRY
        os.utime(path, (number + 1, number + 1))
    assert get_engine(box, bundle)[0] == first  # used, so it counts as new
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
        patch.setattr("edgeseg.runtime.backends.tensorrt.building.build_process._run_child", slow)
        threads = [
            threading.Thread(target=lambda: found.append(get_engine(box, bundle)[0]))
            for _ in range(2)
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
    get_engine(box, bundle)
    assert not list(cache.folder.glob(".build-*"))


def test_timings_of_kernels_are_kept_for_the_next_build(box: Box, bundle: Bundle) -> None:
    get_engine(box, bundle)
    assert (
        next(EngineCache().folder.glob("timing-*.cache")).read_bytes()
        == f"timings of {JETSON}".encode()
    )
    box.cuda.log.clear()
    get_engine(box, bundle, "fp16")
    assert box.cuda.log.count("IBuilderConfig.create_timing_cache()") == 1
