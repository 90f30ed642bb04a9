"""A child process that hangs, crashes or takes all memory is ended, and how it ended is told."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from edgeseg.runtime.backends.tensorrt.building.child_process import LOG, ChildEnd, run_child

CHILD = """
import sys
from pathlib import Path
from edgeseg.runtime.backends.tensorrt.building.child_process import yield_to_others
yield_to_others()
folder = Path(sys.argv[1])
"""


def run(folder: Path, code: str, **limits: Any) -> ChildEnd:  # Any: as `run_child`
    (folder / "a_child.py").write_text(CHILD + code)
    return run_child("a_child", folder, **{"timeout": 60, **limits})


def test_an_end_is_told_with_the_last_words(tmp_path: Path) -> None:
    done = run(tmp_path, "print('fine')")
    assert (done.reason, done.told()) == ("done", "ended with code 0; the last it said: fine")
    code = run(tmp_path, "raise ValueError('three layers')")
    assert code.reason == "code"
    assert code.told() == "ended with code 1; the last it said: ValueError: three layers"
    log = f"(folder / {LOG!r}).write_text('a\\nfusing\\n\\n'); import os; os.abort()"
    killed = run(tmp_path, log)
    assert killed.reason == "signal"
    assert killed.told() == "was killed by SIGABRT; the last it said: fusing"


def test_a_child_that_hangs_is_ended_and_one_that_moves_on_is_not(tmp_path: Path) -> None:
    began = time.monotonic()
    hung = run(tmp_path, "import time; time.sleep(60)", timeout=1)
    assert hung == ChildEnd("time", "took longer than 1 s and was ended", "")
    assert time.monotonic() - began < 20
    steps = iter([False, True] * 1000)
    slow = run(tmp_path, "import time; time.sleep(1.5)", timeout=1, moved_on=lambda: next(steps))
    assert slow.reason == "done"


def test_a_child_that_takes_memory_is_ended(tmp_path: Path) -> None:
    greedy = "import time\nheld = []\nwhile True: held.append(b'x' * (20 << 20)); time.sleep(0.02)"
    end = run(tmp_path, greedy, memory_mb=256)
    assert end == ChildEnd("memory", "took more than 256 MB of memory and was ended", "")
    reserved = "import mmap; held = mmap.mmap(-1, 8 << 30); print(len(held))"
    assert run(tmp_path, reserved, memory_mb=256).reason == "done"  # it never used what it has


def test_a_child_is_ended_on_request(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "import time; time.sleep(60)", stopped=stop.is_set)
