"""A process that keeps one form of the race loaded and runs it whenever it is told to.

The race starts this file in the environment of the form; it imports nothing of edgeseg unless the
form is edgeseg's. Orders come as lines of JSON on stdin, `{"frames": 60}`, answers go to stdout:
seconds, processor seconds of all threads, and the peak of the resident memory so far. Whatever the
libraries print goes to stderr.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[[int], None]  # takes the number of frames
PREPARED_FRAMES = 8  # that the network alone sees, over and over


def main() -> None:
    """Load the form, say so, and obey."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("form", type=json.loads)
    parser.add_argument("--part", required=True)
    parser.add_argument("--clip", required=True)
    parser.add_argument("--size", type=int, nargs=2, required=True)
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints must not be taken for an answer
    pin_to_cores(given.threads)
    height, width = given.size
    run = load(given.form, given.part, given.clip, (height, width), given.threads)
    run(2)  # warms up
    print(json.dumps({"versions": versions()}), file=answers, flush=True)
    for line in sys.stdin:
        frames = json.loads(line)["frames"]
        began, cpu_began = time.perf_counter(), time.process_time()
        run(frames)
        answer = {
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu_began,
            "peak_mb": peak_memory(),
        }
        print(json.dumps(answer), file=answers, flush=True)


def pin_to_cores(threads: int) -> None:
    """Keep the process on its first cores, before a library counts them; what `taskset` does."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def peak_memory() -> float:
    """Return the peak of the resident memory so far, in MB.

    Linux counts what the parent held into `ru_maxrss`, so its own figure is read where it is.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def versions() -> dict[str, str]:
    """Return the versions of the engines that this process loaded."""
    names = ("onnxruntime", "openvino", "ultralytics", "torch", "cv2")
    loaded = {name: sys.modules[name] for name in names if name in sys.modules}
    return {name: str(getattr(module, "__version__", "?")) for name, module in loaded.items()}


def load(
    form: dict[str, Any], part: str, clip: str, size: tuple[int, int], threads: int
) -> Run:  # Any: what JSON holds
    """Return what runs so many frames of the clip."""
    if part == "network":
        return load_network(form["engine"], form["file"], clip, size, threads)
    if form["side"] == "edgeseg":
        return load_edgeseg(form, clip, threads)
    return load_peer(form["file"], clip, size, threads)


def load_edgeseg(form: dict[str, Any], clip: str, threads: int) -> Run:
    """Return edgeseg's pipeline from the clip to the class map, without outputs."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from contextlib import ExitStack

    from edgeseg.runtime.backends.open_runner import open_runner
    from edgeseg.runtime.pipeline import run_pipeline
    from edgeseg.runtime.sources.open_source import open_source

    backend: Any = {"onnxruntime": "cpu"}.get(form["engine"], form["engine"])
    stack = ExitStack()  # the runner lives as long as the process
    runner = stack.enter_context(
        open_runner(form["bundle"], backend, form["precision"], threads, streams=0)
    )

    def run(frames: int) -> None:
        summary = run_pipeline(open_source(clip), runner, [], limit=frames)
        assert summary.frames == frames, "the clip is shorter than a round"

    return run


def load_peer(file: str, clip: str, size: tuple[int, int], threads: int) -> Run:
    """Return the peer's own way from the clip to the class map, as its documentation streams."""
    import torch
    from ultralytics import YOLO

    torch.set_num_threads(threads)
    model = YOLO(file, task="semantic")

    def run(frames: int) -> None:
        results = model.predict(
            clip, stream=True, imgsz=list(size), device="cpu", verbose=False, save=False
        )
        for _ in itertools.islice(results, frames):
            pass
        results.close()

    return run


def load_network(engine: str, file: str, clip: str, size: tuple[int, int], threads: int) -> Run:
    """Return the file alone in its engine: frames are decoded, scaled and typed beforehand."""
    call, shape, kind = (open_onnxruntime if engine == "onnxruntime" else open_openvino)(
        file, threads
    )
    channels_last = shape[-1] == 3
    inputs = prepared_frames(clip, size, channels_last=channels_last, kind=kind)

    def run(frames: int) -> None:
        for frame in itertools.islice(itertools.cycle(inputs), frames):
            call(frame)

    return run


def prepared_frames(
    clip: str, size: tuple[int, int], *, channels_last: bool, kind: str
) -> list[Any]:  # Any: this file also runs where numpy has no stubs
    """Return the first frames as the network takes them: bytes 0 to 255, or floats 0 to 1."""
    import cv2
    import numpy as np

    frames: list[Any] = []
    capture = cv2.VideoCapture(clip)
    while len(frames) < PREPARED_FRAMES:
        found, image = capture.read()
        if not found:
            break
        scaled = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), size[::-1])
        placed = scaled if channels_last else scaled.transpose(2, 0, 1)
        frame = placed if kind == "uint8" else placed.astype(np.float32) / 255
        frames.append(np.ascontiguousarray(frame[None]))
    return frames


def open_onnxruntime(file: str, threads: int) -> tuple[Callable[[Any], Any], list[Any], str]:
    """Return a call of the file in ONNX Runtime, the shape of its input and its type."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that burn a core while they wait would be counted as work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    first = session.get_inputs()[0]
    kind = "uint8" if first.type == "tensor(uint8)" else "float32"
    return lambda frame: session.run(None, {first.name: frame}), list(first.shape), kind


def open_openvino(file: str, threads: int) -> tuple[Callable[[Any], Any], list[Any], str]:
    """Return a call of the file in OpenVINO, the shape of its input and its type."""
    import openvino

    path = Path(file)
    source = next(path.glob("*.xml")) if path.is_dir() else path
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(str(source), "CPU", settings)
    first = compiled.input(0)
    kind = "uint8" if first.element_type == openvino.Type.u8 else "float32"
    shape = [None if side.is_dynamic else side.get_length() for side in first.partial_shape]
    return compiled, shape, kind


if __name__ == "__main__":
    main()
