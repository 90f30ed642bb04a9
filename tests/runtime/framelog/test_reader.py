"""Readers find damage, and never see half a record beside a writer that evicts."""

from __future__ import annotations

import random
import threading
from pathlib import Path

from edgeseg.runtime.framelog.reader import verify_log
from tests.helpers.frame_logs import open_log, put_noise


def test_damage_at_rest_is_found_and_named(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        paths = [put_noise(log, seed) for seed in range(40)]
    damaged = random.Random(0).sample(paths, 8)
    for number, path in enumerate(damaged):
        data = bytearray(path.read_bytes())
        if number % 2:
            data[len(data) // 2] ^= 4
        else:
            del data[-7:]
        path.write_bytes(data)
    result = verify_log(tmp_path)
    assert result.good == 32
    assert {path for path, _ in result.bad} == set(damaged)
    assert all(str(path) in why for path, why in result.bad)
    open_log(tmp_path).close()  # and is no reason not to start


def test_readers_beside_an_evicting_writer_never_see_half_a_record(tmp_path: Path) -> None:
    done = threading.Event()

    def write() -> None:
        with open_log(tmp_path, max_bytes=1_000_000) as log:
            for seed in range(150):
                put_noise(log, seed, side=144, hour=seed / 10)
        done.set()

    open_log(tmp_path).close()
    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not done.is_set():
        result = verify_log(tmp_path)
        assert result.bad == []
        seen += result.good
    writer.join()
    assert seen > 100
    assert verify_log(tmp_path).good > 10
