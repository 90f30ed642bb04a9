"""Builds an engine in a child process, so that a crash of the builder is an error message."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
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
from edgeseg.runtime.backends.engine_cache import KERNELS, PLAN
from edgeseg.runtime.backends.tensorrt.building import build_worker
from edgeseg.runtime.backends.tensorrt.building.build_recipe import BuildRecipe
from edgeseg.runtime.backends.tensorrt.building.child_process import StopCheck, run_child
from edgeseg.runtime.backends.tensorrt.libraries import TensorRTLibrary

Facts: TypeAlias = dict[str, Any]  # Any: what json can hold; see `build_worker.build_and_measure`


@dataclass(frozen=True)
class BuildJob:
    """One build.

    Attributes:
        library: The library that builds.
        data: The graph, already verified.
        recipe: How it is built.
        signature: What the engine must take and give.
        golden: The frames that it is tried out on.
        config: The other settings of engines.
    """

    library: TensorRTLibrary
    data: bytes
    recipe: BuildRecipe
    signature: GraphSignature
    golden: GoldenFrames
    config: EngineConfig


@dataclass(frozen=True)
class FinishedBuild:
    """What a build brought.

    Attributes:
        facts: What was found out about the engine.
        plan: The serialized engine.
        kernels: What its first runs compiled; empty where the library compiles at the build.
    """

    facts: Facts
    plan: bytes
    kernels: bytes


def build_in_child_process(
    job: BuildJob, parent: Path, timing: Path, stopped: StopCheck
) -> FinishedBuild:
    """Build an engine and measure it.

    Args:
        parent: Where a private folder may be made.
        timing: The file of what earlier builds learned; written anew.
        stopped: Asked while the build is under way.

    Raises:
        EngineError: It cannot be built.
        KeyboardInterrupt: `stopped` ended the build.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=".build-", suffix=".tmp", dir=parent))  # mode 0700
        try:
            _write_job(job, folder, timing)
            facts = _run_child(
                folder, FLAVOURS[job.recipe.flavour].file, job.config.timeout, stopped
            )
            plan, kernels = (folder / PLAN).read_bytes(), (folder / KERNELS).read_bytes()
            if hashlib.sha256(plan).hexdigest() != facts["digest"]:
                raise EngineError(
                    f"the new engine was damaged on its way to {parent}; check the disk, then try "
                    "again"
                )
            learned = (folder / build_worker.TIMING).read_bytes()
            if learned:
                write_atomic(timing, learned)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise EngineError(
            f"the engine cannot be built in {parent} ({error.strerror}); fix that, or set "
            "XDG_CACHE_HOME to a folder that this user may write to"
        ) from None
    return FinishedBuild(facts, plan, kernels)


def _write_job(job: BuildJob, folder: Path, timing: Path) -> None:
    facts = {
        "library": job.library.backend,
        "recipe": asdict(job.recipe),
        "signature": asdict(job.signature),
        "digest": hashlib.sha256(job.data).hexdigest(),
        "graphs": job.config.graphs,
        "mapped": job.config.mapped,
    }
    write_json(folder / build_worker.JOB, facts)
    (folder / build_worker.GRAPH).write_bytes(job.data)
    (folder / build_worker.GOLDEN).write_bytes(dump_golden_frames(job.golden))
    if timing.exists():
        shutil.copy(timing, folder / build_worker.TIMING)


def _run_child(folder: Path, name: str, timeout: float, stopped: StopCheck) -> Facts:
    """Let a child process do the job in `folder`.

    Args:
        name: What errors call the graph.
        timeout: Seconds.

    Raises:
        EngineError: It refused, crashed, was killed or took too long.
        KeyboardInterrupt: `stopped` ended it.
    """
    end = run_child(build_worker.__name__, folder, timeout=timeout, stopped=stopped)
    if end.reason == "time":
        raise EngineError(
            f"building an engine of {name} {end.told()}; allow more with "
            "--set engine.timeout=7200, or search less with --set engine.level=1"
        )
    result: Any = None  # Any: what json can hold
    with suppress(OSError, ValueError):
        result = json.loads((folder / build_worker.RESULT).read_bytes())
    if not isinstance(result, dict):
        raise EngineError(
            f"building an engine of {name} {end.told()}; free memory or lower "
            "engine.workspace_mb if it was killed, else report it with `edgeseg doctor`"
        )
    if "error" in result:
        raise EngineError(str(result["error"]))
    return result
