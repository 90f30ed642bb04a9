"""Runs a bundle on a source: decoding, inference and writing side by side, joined by one bounded
queue.

The decode thread reads a frame, scales it to the graph's size and hands it to the inference
threads; frame and promised prediction then wait in the queue, in order, for the writer, which is
the caller's own thread. A full queue holds the decoder back, so memory stays bounded. OpenCV and
ONNX Runtime release the interpreter while they work.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Queue
from threading import Event, Semaphore
from typing import Literal

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.opencv import cv2
from edgeseg.imaging.resize import preprocess
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.base import Prediction, Runner
from edgeseg.runtime.outputs.base import Sink
from edgeseg.runtime.sources.base import Source, SourceFrame, SourceStatistics

STAGES = ("decode", "resize", "infer", "write")
TIMES_PER_STAGE = 20_000  # times kept for the percentiles of each stage; a run may last for months
SECONDS_BETWEEN_REPORTS = 0.5
EndReason = Literal["end of source", "limit", "stopped"]


@dataclass
class PipelineSummary:
    """How a run went.

    Attributes:
        frames: predicted and written.
        seconds: from the first read to the last write.
        stages: for each of `STAGES` the 50th, 95th and 99th percentile of its time per frame, in
            ms.
        ended: why the run is over.
        statistics: what became of the source's other frames.
    """

    frames: int = 0
    seconds: float = 0.0
    stages: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    ended: EndReason = "end of source"
    statistics: SourceStatistics = field(default_factory=SourceStatistics)

    @property
    def fps(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0


class StageTimes:
    """The latest times of each stage."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {
            stage: deque(maxlen=TIMES_PER_STAGE) for stage in STAGES
        }

    def add(self, stage: str, seconds: float) -> None:
        self._seconds[stage].append(seconds)

    def percentiles(self) -> dict[str, tuple[float, float, float]]:
        """50th, 95th and 99th percentile by stage, in ms."""
        table = {}
        for stage, seconds in self._seconds.items():
            if seconds:
                low, high, highest = (
                    1000 * value for value in np.percentile(seconds, [50, 95, 99])
                )
                table[stage] = (float(low), float(high), float(highest))
        return table


@dataclass(frozen=True)
class FrameQueue:
    """What joins the threads: `slots` bounds the frames under way, `waiting` holds them in order
    and ends in a None.
    """

    slots: Semaphore
    waiting: Queue[tuple[SourceFrame, Future[Prediction]] | None]
    stop: Event


def run_pipeline(
    source: Source,
    runner: Runner,
    sinks: Sequence[Sink],
    *,
    limit: int | None = None,
    queue: int = 4,
    stop: Event | None = None,
    report: ProgressReporter | None = None,
) -> PipelineSummary:
    """Predict the frames of `source` and give them to every sink, in order.

    Args:
        limit: frames after which the run is over.
        queue: frames that may wait for the writer; a live source keeps just one waiting, so that
            results stay fresh.
        stop: ends the run when set, after the frames already read are written.

    Raises:
        EdgesegError: whatever source, runner or a sink raise; the sinks were told to abort then.
    """
    stop, report = stop or Event(), report or NullReporter()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # frames side by side use the cores better than OpenCV's own threads
    times, summary = StageTimes(), PipelineSummary(statistics=source.statistics)
    line = FrameQueue(Semaphore(runner.streams + (1 if source.live else queue)), Queue(), stop)
    total = source.total if limit is None or source.total is None else min(limit, source.total)
    report.start(f"infer {source.name}", limit if total is None else total)
    with (
        ThreadPoolExecutor(runner.streams, "infer") as pool,
        ThreadPoolExecutor(1, "decode") as reader,
    ):
        began = time.perf_counter()
        decoding = reader.submit(_decode, source, runner, pool, line, times, limit)
        try:
            _write(line, sinks, times, summary, report)
            decoding.result()
            summary.seconds = time.perf_counter() - began
            for sink in sinks:
                sink.finish()
        except BaseException:
            for sink in sinks:
                sink.abort()
            raise
        finally:
            source.close()
            report.stop()
            cv2.setNumThreads(threads)
    summary.stages = times.percentiles()
    if limit is not None and summary.frames >= limit:
        summary.ended = "limit"
    elif stop.is_set():
        summary.ended = "stopped"
    return summary


def _decode(
    source: Source,
    runner: Runner,
    pool: ThreadPoolExecutor,
    line: FrameQueue,
    times: StageTimes,
    limit: int | None,
) -> None:
    size = runner.bundle.manifest.height, runner.bundle.manifest.width
    frames = source.frames(line.stop)
    number = 0
    try:
        while limit is None or number < limit:
            line.slots.acquire()  # first a place, then the frame: a live source's newest
            if line.stop.is_set():
                break
            began = time.perf_counter()
            frame = next(frames, None)
            if frame is None:
                break
            decoded = time.perf_counter()
            small = preprocess(frame.image, size)[None]
            times.add("decode", decoded - began)
            times.add("resize", time.perf_counter() - decoded)
            line.waiting.put((frame, pool.submit(_infer, runner, small, times)))
            number += 1
    finally:
        line.waiting.put(None)


def _infer(runner: Runner, small: Image, times: StageTimes) -> Prediction:
    began = time.perf_counter()
    prediction = runner(small)
    times.add("infer", time.perf_counter() - began)
    return prediction


def _write(
    line: FrameQueue,
    sinks: Sequence[Sink],
    times: StageTimes,
    summary: PipelineSummary,
    report: ProgressReporter,
) -> None:
    told, when = 0, time.perf_counter()
    over = False
    try:
        for frame, promised in iter(line.waiting.get, None):
            prediction = promised.result()
            began = time.perf_counter()
            for sink in sinks:
                sink.write(frame, prediction)
            now = time.perf_counter()
            times.add("write", now - began)
            line.slots.release()
            summary.frames += 1
            if now - when > SECONDS_BETWEEN_REPORTS:
                report.advance(
                    summary.frames - told, f"{(summary.frames - told) / (now - when):.1f} FPS"
                )
                told, when = summary.frames, now
        over = True
    finally:
        report.advance(summary.frames - told)
        if not over:
            line.stop.set()
            line.slots.release()  # wakes the decoder, which sees that it should stop
            for _ in iter(line.waiting.get, None):
                line.slots.release()
