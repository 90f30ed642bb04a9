"""Share of the bare session's speed that is left end to end, with decoding and writing or logging.

    python benchmarks/infer.py BUNDLE CLIP [--frames 120] [--rounds 7] [--precision int8]
        [--threads 0]

All rows are timed in one process, interleaved in random order, round by round; a ratio is the
median over rounds of a row's FPS by that of a bare row in the same round, so a machine that slows
down hurts all rows alike. On a busy machine look at "CPU ms", the processor time per frame, which
other work disturbs less. "bare" is one ONNX Runtime session with its default options, called on
frames that were decoded and scaled beforehand; "bare, no spinning" does not burn the cores while it
waits, which is what helps beside other threads and on a busy machine; "bare, side by side" runs as
many frames at once as the pipeline. A new log takes its first 10 records at once; "1 an hour" is
what the log costs after that. Loading and warming up are not timed, nor is the interpreter's start.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgeseg.bundle import FLAVOURS, Bundle
from edgeseg.config import LogConfig
from edgeseg.imaging.frame_fit import fit_frame
from edgeseg.processor import available_cores
from edgeseg.runtime.backends.base import Runner
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.framelog.frame_log import FrameLog
from edgeseg.runtime.outputs.base import Sink
from edgeseg.runtime.outputs.frame_log_sink import FrameLogSink
from edgeseg.runtime.outputs.overlay_video import OverlayVideoSink
from edgeseg.runtime.pipeline import run_pipeline
from edgeseg.runtime.sources.open_source import open_source

BASES = ("bare", "bare, no spinning", "bare, side by side")
Batches = list[NDArray[np.uint8]]  # (1, H, W, 3) each
Task = Callable[[], None]


def read_batches(clip: str, bundle: Bundle, number: int) -> Batches:
    """Read the first frames of the clip as the graph takes them."""
    size = bundle.manifest.height, bundle.manifest.width
    batches = []
    for frame in open_source(clip).frames(Event()):
        fit = fit_frame(bundle.manifest.fit, frame.image.shape[:2], size)
        batches.append(fit.image(frame.image)[None])
        if len(batches) == number:
            break
    return batches


def bare_session(data: bytes, threads: int, spinning: str) -> onnxruntime.InferenceSession:
    """Open the graph without edgeseg; `spinning` is "1" for ONNX Runtime's default."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run_bare(session: onnxruntime.InferenceSession, batches: Batches) -> None:
    """Run one frame after another."""
    for batch in batches:
        session.run(None, {"image": batch})


def run_side_by_side(runner: Runner, batches: Batches) -> None:
    """Run as many frames at once as the runner has streams."""
    with ThreadPoolExecutor(runner.streams) as pool:
        for _ in pool.map(runner, batches):
            pass


def run_whole(runner: Runner, clip: str, frames: int, sinks: list[Sink]) -> None:
    """Run the pipeline from the clip to the sinks."""
    summary = run_pipeline(open_source(clip), runner, sinks, limit=frames)
    assert summary.frames == frames


def make_tasks(
    bundle: Bundle,
    runner: Runner,
    sessions: dict[str, onnxruntime.InferenceSession],
    clip: str,
    batches: Batches,
    folder: Path,
) -> dict[str, Task]:
    """Return what is timed, by the name of its row."""
    classes, threshold = bundle.manifest.classes, bundle.manifest.log_threshold
    frames = len(batches)

    def run_logged(per_hour: int) -> None:
        log = FrameLog.open(
            Path(tempfile.mkdtemp(dir=folder)),  # a new log, with its quota untouched
            LogConfig(per_hour=per_hour),
            device="benchmark",
            model=bundle.digest,
            threshold=threshold,
        )
        with log:
            run_whole(runner, clip, frames, [FrameLogSink(log)])

    def run_saved() -> None:
        run_whole(runner, clip, frames, [OverlayVideoSink(folder / "out.mp4", classes, 25)])

    return {
        "bare": lambda: run_bare(sessions["1"], batches),
        "bare, no spinning": lambda: run_bare(sessions["0"], batches),
        "bare, side by side": lambda: run_side_by_side(runner, batches),
        "pipeline": lambda: run_whole(runner, clip, frames, []),
        "pipeline --log": lambda: run_logged(60),
        "the same, 1 an hour": lambda: run_logged(1),
        "pipeline --save": run_saved,
    }


def time_tasks(
    tasks: dict[str, Task], rounds: int, frames: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Time every task once a round, in a new order each; return FPS and CPU ms a frame by name."""
    fps: dict[str, list[float]] = defaultdict(list)
    cpu_ms: dict[str, list[float]] = defaultdict(list)
    order = list(tasks)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            began, cpu_began = time.perf_counter(), time.process_time()
            tasks[name]()
            fps[name].append(frames / (time.perf_counter() - began))
            cpu_ms[name].append(1000 * (time.process_time() - cpu_began) / frames)
    return fps, cpu_ms


def main() -> None:
    """Print the table and one JSON line."""
    parser = argparse.ArgumentParser(
        description="Share of the bare session's FPS that `edgeseg infer` keeps."
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("clip")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "int8"])
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    bundle, threads = Bundle.open(given.bundle), given.threads or available_cores()
    batches = read_batches(given.clip, bundle, given.frames)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_runner(bundle, "cpu", given.precision, threads, streams=threads) as runner,
    ):
        data = bundle.read(FLAVOURS[runner.flavour].file)
        sessions = {spinning: bare_session(data, threads, spinning) for spinning in "01"}
        for session in sessions.values():
            run_bare(session, batches[:2])  # warms up
        tasks = make_tasks(bundle, runner, sessions, given.clip, batches, Path(folder))
        fps, cpu_ms = time_tasks(tasks, given.rounds, len(batches))
        flavour = runner.flavour
    report: dict[str, Any] = {  # Any: what json can hold
        "flavour": flavour,
        "threads": threads,
        "frames": len(batches),
        "rounds": given.rounds,
        "machine": platform.machine(),
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
        "python": platform.python_version(),
    }
    print(", ".join(f"{key} {value}" for key, value in report.items()))
    print(
        f"{'':20} {'FPS':>7} {'spread':>13} {'of bare':>8} {'no spinning':>12} "
        f"{'side by side':>13} {'CPU ms':>7}"
    )
    for name in tasks:
        # Round by round, so that a machine that slows down hurts both sides of each ratio.
        ratios = [
            statistics.median(own / base for own, base in zip(fps[name], fps[base_name]))
            for base_name in BASES
        ]
        median_fps, median_ms = statistics.median(fps[name]), statistics.median(cpu_ms[name])
        spread = f"{min(fps[name]):.1f}..{max(fps[name]):.1f}"
        columns = f"{ratios[0]:8.3f} {ratios[1]:12.3f} {ratios[2]:13.3f}"
        print(f"{name:20} {median_fps:7.1f} {spread:>13} {columns} {median_ms:7.1f}")
        report[name] = {"fps": median_fps, "of": dict(zip(BASES, ratios)), "cpu_ms": median_ms}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
