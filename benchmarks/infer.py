"""How much of the bare session's speed is left end to end: decoding, scaling, inference, and
writing or logging.

    python benchmarks/infer.py BUNDLE CLIP [--frames 120] [--rounds 7] [--precision int8] [--threads
    0]

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
from edgeseg.imaging.resize import preprocess
from edgeseg.runtime.backends.base import Runner
from edgeseg.runtime.backends.open_runner import available_cores, open_runner
from edgeseg.runtime.framelog.frame_log import FrameLog
from edgeseg.runtime.outputs.base import Sink
from edgeseg.runtime.outputs.frame_log_sink import LogSink
from edgeseg.runtime.outputs.overlay_video import VideoSink
from edgeseg.runtime.pipeline import run_pipeline
from edgeseg.runtime.sources.open_source import open_source

BASES = ("bare", "bare, no spinning", "bare, side by side")
Frames = list[NDArray[np.uint8]]


def read(clip: str, bundle: Bundle, number: int) -> Frames:
    """The first frames of the clip as the graph takes them, (1, H, W, 3) each."""
    frames = []
    for frame in open_source(clip).frames(Event()):
        frames.append(
            preprocess(frame.image, (bundle.manifest.height, bundle.manifest.width))[None]
        )
        if len(frames) == number:
            break
    return frames


def bare_session(data: bytes, threads: int, spinning: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def bare(session: onnxruntime.InferenceSession, frames: Frames) -> None:
    for frame in frames:
        session.run(None, {"image": frame})


def side_by_side(runner: Runner, frames: Frames) -> None:
    with ThreadPoolExecutor(runner.streams) as pool:
        for _ in pool.map(runner, frames):
            pass


def pipeline(runner: Runner, clip: str, frames: Frames, sinks: list[Sink]) -> None:
    summary = run_pipeline(open_source(clip), runner, sinks, limit=len(frames))
    assert summary.frames == len(frames)


def rows(
    bundle: Bundle,
    runner: Runner,
    sessions: dict[str, onnxruntime.InferenceSession],
    clip: str,
    frames: Frames,
    folder: Path,
) -> dict[str, Callable[[], None]]:
    """What is timed, by name."""
    classes, threshold = bundle.manifest.classes, bundle.manifest.log_threshold

    def logged(per_hour: int) -> None:
        with FrameLog.open(
            Path(tempfile.mkdtemp(dir=folder)),
            LogConfig(per_hour=per_hour),
            device="benchmark",
            model=bundle.digest,
            threshold=threshold,
        ) as log:
            pipeline(runner, clip, frames, [LogSink(log)])

    return {
        "bare": lambda: bare(sessions["1"], frames),
        "bare, no spinning": lambda: bare(sessions["0"], frames),
        "bare, side by side": lambda: side_by_side(runner, frames),
        "pipeline": lambda: pipeline(runner, clip, frames, []),
        "pipeline --log": lambda: logged(60),
        "the same, 1 an hour": lambda: logged(1),
        "pipeline --save": lambda: pipeline(
            runner, clip, frames, [VideoSink(folder / "out.mp4", classes, 25)]
        ),
    }


def main() -> None:
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
    frames = read(given.clip, bundle, given.frames)
    speeds: dict[str, list[float]] = {}
    work: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        open_runner(bundle, "cpu", given.precision, threads, streams=threads) as runner,
    ):
        data = bundle.read(FLAVOURS[runner.flavour].file)
        sessions = {spinning: bare_session(data, threads, spinning) for spinning in "01"}
        for session in sessions.values():
            bare(session, frames[:2])
        timed = rows(bundle, runner, sessions, given.clip, frames, Path(folder))
        order = list(timed)
        for _ in range(given.rounds):
            random.shuffle(order)
            for name in order:
                began, used = time.perf_counter(), time.process_time()
                timed[name]()
                speeds.setdefault(name, []).append(len(frames) / (time.perf_counter() - began))
                work.setdefault(name, []).append(1000 * (time.process_time() - used) / len(frames))
        flavour = runner.flavour
    report: dict[str, Any] = {
        "flavour": flavour,
        "threads": threads,
        "frames": len(frames),
        "rounds": given.rounds,
        "machine": platform.machine(),
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
        "python": platform.python_version(),
    }
    print(", ".join(f"{key} {value}" for key, value in report.items()))
    print(
        f"{'':20} {'FPS':>7} {'spread':>13} {'of bare':>8} {'no spinning':>12} {'side by side':>13} {'CPU ms':>7}"
    )
    for name in timed:
        against = [
            statistics.median(one / other for one, other in zip(speeds[name], speeds[base]))
            for base in BASES
        ]
        fps, used_ms = statistics.median(speeds[name]), statistics.median(work[name])
        spread = f"{min(speeds[name]):.1f}..{max(speeds[name]):.1f}"
        ratios = f"{against[0]:8.3f} {against[1]:12.3f} {against[2]:13.3f}"
        print(f"{name:20} {fps:7.1f} {spread:>13} {ratios} {used_ms:7.1f}")
        report[name] = {"fps": fps, "of": dict(zip(BASES, against)), "cpu_ms": used_ms}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
