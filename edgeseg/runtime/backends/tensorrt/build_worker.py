"""`python -m edgeseg.runtime.backends.tensorrt.build_worker FOLDER`: builds an engine and tries it
out, where a crash hurts nobody else.

TensorRT is native code that at times aborts, or is killed because memory ran out. What the child is
given lies in FOLDER, and what it makes goes there too: `log.txt` line by line, `engine.plan`, and
last of all `result.json`.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.bundle.golden_frames import load_golden_frames
from edgeseg.bundle.graph_signature import GraphSignature
from edgeseg.errors import EdgesegError, EngineError
from edgeseg.runtime.backends.cuda_runtime import CudaRuntime
from edgeseg.runtime.backends.tensorrt import layer_inspection
from edgeseg.runtime.backends.tensorrt.engine import Engine
from edgeseg.runtime.backends.tensorrt.engine_builder import (
    BuildRecipe,
    Module,
    TensorRTMessages,
    build_engine,
)
from edgeseg.runtime.backends.tensorrt.engine_cache import PLAN

JOB, GRAPH, GOLDEN, TIMING = "job.json", "graph.onnx", "golden.npz", "timing.cache"
LOG, OUTPUT, RESULT = "log.txt", "output.txt", "result.json"
TIMED_FRAMES = 30  # frames, after those that warmed up
NICENESS = 10  # of `nice`: what runs on the device meanwhile comes first
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def build_and_measure(
    folder: Path, trt: Module, cuda: CudaRuntime
) -> dict[str, Any]:  # Any: what json can hold
    """Do the job that lies in `folder`.

    Returns:
        What `result.json` shall hold.

    Raises:
        EdgesegError: TensorRT or CUDA refuse.
    """
    job = json.loads((folder / JOB).read_bytes())
    recipe, face = BuildRecipe.load(job["recipe"]), GraphSignature(**job["face"])
    data = (folder / GRAPH).read_bytes()
    if hashlib.sha256(data).hexdigest() != job["digest"]:
        raise EngineError(
            f"{folder / GRAPH} was changed while it was handed over; try again, and see who else writes"
        )
    timing = (folder / TIMING).read_bytes() if (folder / TIMING).exists() else b""
    with open(folder / LOG, "a", buffering=1, errors="replace") as log:
        messages = TensorRTMessages(lambda text: print(text, file=log))
        logger = messages.logger(trt)
        built = build_engine(trt, data, recipe, face, messages, logger, timing)
        write_atomic(folder / PLAN, built.plan, sync=False)
        write_atomic(folder / TIMING, built.timing, sync=False)
        try:
            engine = Engine(
                trt,
                cuda,
                built.plan,
                face,
                logger,
                graphs=job["graphs"],
                mapped=job["mapped"],
                dla=recipe.dla,
            )
        except EngineError as error:
            raise EngineError(
                f"{error} (TensorRT said: {messages.why()})" if messages.errors else str(error)
            ) from None
        try:
            facts = _try_out(folder, engine)
        finally:
            engine.close()
    return {"digest": hashlib.sha256(built.plan).hexdigest(), **facts}


def _try_out(folder: Path, engine: Engine) -> dict[str, Any]:  # Any: as `work`
    golden = load_golden_frames((folder / GOLDEN).read_bytes())
    agreement = golden.agreement(lambda frame: engine.run(frame).mask[0])
    seconds = []
    for index in range(TIMED_FRAMES):
        began = time.perf_counter()
        engine.run(golden.frames[index % len(golden.frames)][None])
        seconds.append(time.perf_counter() - began)
    return {
        "agreement": agreement,
        "ms": 1000 * float(np.median(seconds)),
        "evidence": asdict(layer_inspection.read_inspection(engine.inspect())),
        "notes": engine.notes,
    }


def import_tensorrt() -> Module:
    """Raises:
    ImportError: it is not there, or cannot load its libraries.
    """
    import tensorrt  # noqa: PLC0415  # it is optional, large, and on a device comes from the system

    return tensorrt


def _stand_back() -> None:
    """Never outlive the parent, never be the reason why somebody else is killed or starved."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
        Path("/proc/self/oom_score_adj").write_text("1000")


def main(folder: Path) -> None:
    """Do the job, and put down how it went."""
    _stand_back()
    try:
        result = build_and_measure(folder, import_tensorrt(), CudaRuntime.open())
    except EdgesegError as error:
        result = {"error": str(error)}
    write_json(folder / RESULT, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
