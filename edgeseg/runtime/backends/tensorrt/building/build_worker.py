"""The child process that builds an engine and measures it, where a crash hurts nothing else.

It is started as `python -m edgeseg.runtime.backends.tensorrt.building.build_worker FOLDER` by
`build_process`. TensorRT is native code that at times aborts, or is killed because memory ran out.
The job lies in FOLDER, and what the child makes goes there too: `log.txt` line by line,
`engine.plan`, `kernels.cache`, and last of all `result.json`.
"""

from __future__ import annotations

import hashlib
import json
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
from edgeseg.runtime.backends.engine_cache import KERNELS, PLAN
from edgeseg.runtime.backends.tensorrt import layer_inspection, libraries
from edgeseg.runtime.backends.tensorrt.building.build_recipe import BuildRecipe
from edgeseg.runtime.backends.tensorrt.building.child_process import LOG, yield_to_others
from edgeseg.runtime.backends.tensorrt.building.engine_builder import build_engine
from edgeseg.runtime.backends.tensorrt.building.messages import TensorRTMessages
from edgeseg.runtime.backends.tensorrt.engine import Engine
from edgeseg.runtime.backends.tensorrt.version_differences import TensorRTModule

JOB, GRAPH, GOLDEN, TIMING = "job.json", "graph.onnx", "golden.npz", "timing.cache"
RESULT = "result.json"
TIMED_FRAMES = 30  # after those that warmed up


def build_and_measure(
    folder: Path, trt: TensorRTModule, cuda: CudaRuntime
) -> dict[str, Any]:  # Any: what json can hold
    """Do the job that lies in `folder`.

    Returns:
        The content of `result.json`: digest of the engine, agreement with the golden frames,
        milliseconds, evidence (what the inspector said) and notes.

    Raises:
        EdgesegError: TensorRT or CUDA refuse.
    """
    job = json.loads((folder / JOB).read_bytes())
    recipe, signature = BuildRecipe.load(job["recipe"]), GraphSignature(**job["signature"])
    data = (folder / GRAPH).read_bytes()
    if hashlib.sha256(data).hexdigest() != job["digest"]:
        raise EngineError(
            f"{folder / GRAPH} was changed while it was handed over; try again, and see who else "
            "writes"
        )
    timing = (folder / TIMING).read_bytes() if (folder / TIMING).exists() else b""
    with open(folder / LOG, "a", buffering=1, errors="replace") as log:
        messages = TensorRTMessages(lambda text: print(text, file=log))
        logger = messages.logger(trt)
        built = build_engine(trt, data, recipe, signature, messages, logger, timing)
        write_atomic(folder / PLAN, built.plan, sync=False)
        write_atomic(folder / TIMING, built.timing, sync=False)
        try:
            engine = Engine(
                trt,
                cuda,
                built.plan,
                signature,
                logger,
                graphs=job["graphs"],
                mapped=job["mapped"],
                dla=recipe.dla,
            )
        except EngineError as error:
            raise EngineError(
                f"{error} (TensorRT said: {messages.reason()})" if messages.errors else str(error)
            ) from None
        try:
            measured = _measure(folder, engine)
            write_atomic(folder / KERNELS, engine.kernels(), sync=False)
        finally:
            engine.close()
    return {"digest": hashlib.sha256(built.plan).hexdigest(), **measured}


def _measure(folder: Path, engine: Engine) -> dict[str, Any]:  # Any: what json can hold
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


def main(folder: Path) -> None:
    """Do the job in `folder`, and write down how it went."""
    yield_to_others()
    job = json.loads((folder / JOB).read_bytes())
    try:
        trt = libraries.import_library(libraries.LIBRARIES[job["library"]])
        result = build_and_measure(folder, trt, CudaRuntime.open())
    except EdgesegError as error:
        result = {"error": str(error)}
    write_json(folder / RESULT, result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
