"""Runs a module of edgeseg in a child process, so that whatever ends the child is a sentence here.

TensorRT is native code: it aborts at times, hangs, or takes all memory. A child has a folder of its
own, where its job lies and what it makes is left, and two texts there: `log.txt`, which it may
write line by line, and `output.txt`, all else that it prints.

Memory is watched from outside. Limits that the kernel keeps (RLIMIT_AS, RLIMIT_DATA) count what a
driver of CUDA reserves and never uses, and a library that is refused memory dies without a word.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

LOG, OUTPUT = "log.txt", "output.txt"
POLL_SECONDS = 0.1
MAX_LINE = 300  # characters of the last words
NICENESS = 10  # what runs on the device meanwhile comes first
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
MEMORY = re.compile(rb"^(?:RssAnon|VmSwap):\s*(\d+) kB", re.MULTILINE)
StopCheck: TypeAlias = Callable[[], bool]


@dataclass(frozen=True)
class ChildEnd:
    """How a child process ended.

    Attributes:
        reason: Whether it ended by itself with exit code 0 ("done") or another ("code"), was killed
            by a signal, or was ended from here because of its time or memory.
        problem: The same as the end of a sentence, such as "was killed by SIGABRT".
        last_words: The last line that it wrote; empty if there is none.
    """

    reason: Literal["done", "code", "signal", "time", "memory"]
    problem: str
    last_words: str

    def told(self) -> str:
        """Return the problem with the last words behind it."""
        return self.problem + (f"; the last it said: {self.last_words}" if self.last_words else "")


def run_child(
    module: str,
    folder: Path,
    *,
    timeout: float,
    memory_mb: int | None = None,
    stopped: StopCheck = lambda: False,
    moved_on: Callable[[], bool] = lambda: False,
) -> ChildEnd:
    """Run `python -m MODULE FOLDER` and wait for its end.

    Args:
        module: The module, which calls `yield_to_others` first.
        folder: The child's folder, which nobody else may write to.
        timeout: Seconds that it may take.
        memory_mb: Memory that it may take for itself, where Linux tells; None for as much as it
            wants.
        stopped: Asked while the child runs; the child is ended once it says yes.
        moved_on: Asked while the child runs; the time counts from its last yes.

    Raises:
        KeyboardInterrupt: `stopped` ended it.
    """
    root = str(Path(__file__).parents[5])  # the folder that holds the package
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with open(folder / OUTPUT, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": path},
            cwd=folder,  # Python looks for modules here first, and nobody else can put any
        )
        try:
            deadline, ended_for = time.monotonic() + timeout, None
            while ended_for is None:
                if stopped():
                    raise KeyboardInterrupt
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
                    break
                if moved_on():
                    deadline = time.monotonic() + timeout
                if time.monotonic() >= deadline:
                    ended_for = _end(folder, "time", f"took longer than {timeout:g} s")
                elif memory_mb is not None and _memory_mb(process.pid) > memory_mb:
                    ended_for = _end(folder, "memory", f"took more than {memory_mb} MB of memory")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if ended_for is not None:
        return ended_for
    code = process.returncode
    if code < 0:
        words = _last_words(folder)
        return ChildEnd("signal", f"was killed by {signal.Signals(-code).name}", words)
    return ChildEnd("code" if code else "done", f"ended with code {code}", _last_words(folder))


def yield_to_others() -> None:
    """End with the parent, and be the first to lose the processor and the memory.

    For the child, before it does anything else.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
        Path("/proc/self/oom_score_adj").write_text("1000")


def _end(folder: Path, reason: Literal["time", "memory"], problem: str) -> ChildEnd:
    return ChildEnd(reason, f"{problem} and was ended", _last_words(folder))


def _memory_mb(process: int) -> int:
    """Return the megabytes that a process holds alone; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{process}/status").read_bytes()
    except OSError:
        return 0
    return sum(int(kilobytes) for kilobytes in MEMORY.findall(status)) >> 10


def _last_words(folder: Path) -> str:
    return _last_line(folder / LOG) or _last_line(folder / OUTPUT)


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:MAX_LINE] for line in reversed(lines) if line.strip()), "")
