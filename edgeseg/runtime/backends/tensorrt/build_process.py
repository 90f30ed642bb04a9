"""Has a process of its own build an engine, so that a crash of TensorRT's builder is an error
message.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.bundle.flavours import FLAVOURS
from edgeseg.bundle.golden_frames import GoldenFrames, dump_golden_frames
from edgeseg.bundle.graph_signature import GraphSignature
from edgeseg.config import EngineConfig
from edgeseg.errors import EngineError
from edgeseg.runtime.backends.tensorrt import build_worker
from edgeseg.runtime.backends.tensorrt.engine_builder import BuildRecipe
from edgeseg.runtime.backends.tensorrt.engine_cache import PLAN, POLL_SECONDS

StopCheck: TypeAlias = Callable[[], bool]
Facts: TypeAlias = dict[str, Any]  # Any: what json can hold; see `build_worker.build_and_measure`


@dataclass(frozen=True)
class BuildJob:
    """What to build, and what to try it out on.

    Attributes:
        data: the graph; already scanned.
    """

    data: bytes
    recipe: BuildRecipe
    face: GraphSignature
    golden: GoldenFrames
    config: EngineConfig


def build_in_child_process(
    job: BuildJob, place: Path, timing: Path, stopped: StopCheck
) -> tuple[Facts, bytes]:
    """Build an engine.

    Args:
        place: where a private folder may be made.
        timing: file of what earlier builds learned; written anew.
        stopped: asked while the build is under way.

    Returns:
        What was found out about the engine, and the plan.

    Raises:
        EngineError: it cannot be built.
        KeyboardInterrupt: `stopped`.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=".build-", suffix=".tmp", dir=place))  # mode 0700
        try:
            _hand_over(job, folder, timing)
            facts = _run_child(
                folder, FLAVOURS[job.recipe.flavour].file, job.config.timeout, stopped
            )
            plan = (folder / PLAN).read_bytes()
            if hashlib.sha256(plan).hexdigest() != facts["digest"]:
                raise EngineError(
                    f"the new engine was damaged on its way to {place}; check the disk, then try again"
                )
            learned = (folder / build_worker.TIMING).read_bytes()
            if learned:
                write_atomic(timing, learned)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise EngineError(
            f"the engine cannot be built in {place} ({error.strerror}); mend that, or set XDG_CACHE_HOME to a "
            "folder that this user may write to"
        ) from None
    return facts, plan


def _hand_over(job: BuildJob, folder: Path, timing: Path) -> None:
    order = {
        "recipe": asdict(job.recipe),
        "face": asdict(job.face),
        "digest": hashlib.sha256(job.data).hexdigest(),
        "graphs": job.config.graphs,
        "mapped": job.config.mapped,
    }
    write_json(folder / build_worker.JOB, order)
    (folder / build_worker.GRAPH).write_bytes(job.data)
    (folder / build_worker.GOLDEN).write_bytes(dump_golden_frames(job.golden))
    if timing.exists():
        shutil.copy(timing, folder / build_worker.TIMING)


def _run_child(folder: Path, name: str, timeout: float, stopped: StopCheck) -> Facts:
    """Let a process of its own do the job in `folder`.

    Raises:
        EngineError: it refused, crashed, was killed or took too long.
        KeyboardInterrupt: `stopped`.
    """
    path = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[4]), os.environ.get("PYTHONPATH")])
    )
    command = [sys.executable, "-m", build_worker.__name__, str(folder)]
    with open(folder / build_worker.OUTPUT, "wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": path},
            cwd=folder,  # Python looks for modules here first, and nobody else can put any
        )
        try:
            code = _wait(process, timeout, stopped)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    said = _last_line(folder / build_worker.LOG) or _last_line(folder / build_worker.OUTPUT)
    last = f"; the last it said: {said}" if said else ""
    if code is None:
        raise EngineError(
            f"building an engine of {name} took longer than {timeout} s and was ended{last}; allow more with "
            "--set engine.timeout=7200, or search less with --set engine.level=1"
        )
    result: Any = None  # Any: what json can hold
    with suppress(OSError, ValueError):
        result = json.loads((folder / build_worker.RESULT).read_bytes())
    if not isinstance(result, dict):
        how = (
            f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        )
        raise EngineError(
            f"building an engine of {name} {how}{last}; free memory or lower engine.workspace_mb if it was killed, "
            "else report it with `edgeseg doctor`"
        )
    if "error" in result:
        raise EngineError(str(result["error"]))
    return result


def _wait(process: subprocess.Popen[bytes], timeout: float, stopped: StopCheck) -> int | None:
    """The exit code, None where it takes too long."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if stopped():
            raise KeyboardInterrupt
        with suppress(subprocess.TimeoutExpired):
            return process.wait(POLL_SECONDS)
    return None


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
