"""A killed writer loses nothing that was acknowledged."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

from edgeseg.runtime.framelog.reader import iter_records, verify_log
from tests.helpers.frame_logs import open_log, put_noise, unfinished_records

WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from edgeseg.config import LogConfig
from edgeseg.runtime.framelog.frame_log import FrameLog
image = np.random.default_rng().integers(0, 256, (96, 96, 3), np.uint8)
config = LogConfig(min_free_bytes=0)
with FrameLog.open(Path(sys.argv[1]), config, device="d", model="m", threshold=0.3) as log:
    while True:
        image[0, 0] = np.random.default_rng().integers(0, 256, 3)
        now_ns = time.monotonic_ns()
        mask = image[..., 0]
        path = log.put(
            image, camera="c", score=0.5, mask=mask, entropy=None, monotonic_ns=now_ns
        )
        print(path.name, flush=True)
"""


def test_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    generator, acknowledged = random.Random(seed), []
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as process:
            assert process.stdout is not None
            acknowledged.append(
                process.stdout.readline().strip()
            )  # only now does it write and not just start
            threading.Event().wait(generator.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
        result = verify_log(tmp_path)
        assert result.bad == [], f"seed {seed}"
        there = {path.name for path in iter_records(tmp_path)}
        assert set(acknowledged) <= there, f"seed {seed}"
    with open_log(tmp_path) as log:
        assert log.boot == 9
        assert unfinished_records(tmp_path) == []
        assert put_noise(log, 1).exists()
    assert len(acknowledged) >= 8
