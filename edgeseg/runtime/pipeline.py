"""Runs a model on a source: decoding, inference and writing side by side, in frame order.

    decode thread --> inference threads --> the caller's thread
    read, resize      one per stream        every sink in turn

The decode thread reads a frame, scales it to the graph's size and hands it to the inference
threads. Frame and promised prediction then wait in the queue, in the order in which they were read,
for the writer, which is the caller's own thread. OpenCV and ONNX Runtime release the interpreter
while they work, so threads are enough.

Order: the queue is filled by one thread and emptied by one. Inference may end out of order; the
writer waits for the oldest frame.
Back pressure: a frame takes one of a fixed number of slots before it is read and gives it back when
it is written. A slow sink thus holds the decoder back, and memory stays bounded.
Dropping: recorded footage is never dropped. A live source gets one slot beyond those in inference;
while none is free nobody asks the source for a frame, and it replaces its newest one meanwhile.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Queue
from threading import Event, Semaphore
from typing import Literal

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.frame_fit import FrameFit
from edgeseg.imaging.opencv import cv2
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.base import Prediction, Runner
from edgeseg.runtime.backends.frame_prediction import fit_of_frame, restore_prediction
from edgeseg.runtime.outputs.base import Sink
from edgeseg.runtime.sources.base import Source, SourceFrame, SourceStatistics

STAGES = ("decode", "resize", "infer", "write")
TIMES_PER_STAGE = 20_000  # kept for the percentiles of each stage; a run may last for months
SECONDS_BETWEEN_REPORTS = 0.5
EndReason = Literal["end of source", "limit", "stopped"]


@dataclass
class PipelineSummary:
    """Figures of a run.

    Attributes:
        frames: Number of frames predicted and written.
        seconds: From the first read to the last write.
        stages: For each of `STAGES` the 50th, 95th and 99th percentile of its time per frame, in
            ms.
        ended: Why the run is over.
        statistics: Numbers of the source's other frames.
    """

    frames: int = 0
    seconds: float = 0.0
    stages: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    ended: EndReason = "end of source"
    statistics: SourceStatistics = field(default_factory=SourceStatistics)

    @property
    def fps(self) -> float:
        """Frames a second, end to end."""
        return self.frames / self.seconds if self.seconds else 0.0


class StageTimes:
    """The latest times of each stage; each stage may be timed by another thread."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {
            stage: deque(maxlen=TIMES_PER_STAGE) for stage in STAGES
        }

    def add(self, stage: str, seconds: float) -> None:
        """Note the time that one frame spent in `stage`."""
        self._seconds[stage].append(seconds)

    def percentiles(self) -> dict[str, tuple[float, float, float]]:
        """Return the 50th, 95th and 99th percentile by stage, in ms; no stage without a frame."""
        table = {}
        for stage, seconds in self._seconds.items():
            if seconds:
                p50, p95, p99 = (1000 * value for value in np.percentile(seconds, [50, 95, 99]))
                table[stage] = (float(p50), float(p95), float(p99))
        return table


@dataclass(frozen=True)
class FrameQueue:
    """The queue between the decode thread and the writer.

    Attributes:
        slots: Bounds the frames under way, from before a frame is read until it is written.
        waiting: Frames with their promised predictions, in order; a None ends them.
        stop: Ends the run when set.
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
        source: Is closed at the end.
        runner: Predicts; it is called from `runner.streams` threads at once.
        sinks: Are finished at the end, or told to abort when the run fails.
        limit: Number of frames after which the run is over.
        queue: Number of frames that may wait for the writer; a live source keeps just one waiting,
            so that results stay fresh.
        stop: Ends the run when set, after the frames already read are written.
        report: Is told the progress.

    Raises:
        EdgesegError: Whatever source, runner or a sink raise.
    """
    stop, report = stop or Event(), report or NullReporter()
    times, summary = StageTimes(), PipelineSummary(statistics=source.statistics)
    places = 1 if source.live else queue
    frame_queue = FrameQueue(Semaphore(runner.streams + places), Queue(), stop)
    total = source.total if limit is None or source.total is None else min(limit, source.total)
    report.start(f"infer {source.name}", limit if total is None else total)
    with (
        _one_opencv_thread(),
        # Left in reverse order: the decode thread ends first, as it submits to the other pool.
        ThreadPoolExecutor(runner.streams, "infer") as inference_pool,
        ThreadPoolExecutor(1, "decode") as decode_pool,
    ):
        began = time.perf_counter()
        decoding = decode_pool.submit(
            _decode, source, runner, inference_pool, frame_queue, times, limit
        )
        try:
            _write(frame_queue, sinks, times, summary, report)
            decoding.result()  # raises what the source raised
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
    summary.stages = times.percentiles()
    if limit is not None and summary.frames >= limit:
        summary.ended = "limit"
    elif stop.is_set():
        summary.ended = "stopped"
    return summary


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV from using threads of its own: frames side by side use the cores better."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _decode(
    source: Source,
    runner: Runner,
    inference_pool: ThreadPoolExecutor,
    frame_queue: FrameQueue,
    times: StageTimes,
    limit: int | None,
) -> None:
    """Read, resize and submit frames until the source ends: the decode thread."""
    frames = source.frames(frame_queue.stop)
    number = 0
    try:
        while limit is None or number < limit:
            # First a slot, then the frame: the other way round a live source's frame would grow old
            # while it waits for the slot.
            frame_queue.slots.acquire()
            if frame_queue.stop.is_set():
                break
            began = time.perf_counter()
            frame = next(frames, None)
            if frame is None:
                break
            decoded = time.perf_counter()
            fit = fit_of_frame(runner, frame.image)
            batch = fit.image(frame.image)[None]
            times.add("decode", decoded - began)
            times.add("resize", time.perf_counter() - decoded)
            promised = inference_pool.submit(_infer, runner, fit, batch, times)
            frame_queue.waiting.put((frame, promised))
            number += 1
    finally:
        frame_queue.waiting.put(None)  # also after an error, or the writer would wait for ever


def _infer(runner: Runner, fit: FrameFit, batch: Image, times: StageTimes) -> Prediction:
    began = time.perf_counter()
    prediction = restore_prediction(runner, fit, runner(batch))
    times.add("infer", time.perf_counter() - began)
    return prediction


def _write(
    frame_queue: FrameQueue,
    sinks: Sequence[Sink],
    times: StageTimes,
    summary: PipelineSummary,
    report: ProgressReporter,
) -> None:
    """Give each frame to the sinks once its prediction is there; return after the last one."""
    reported_frames, reported_at = 0, time.perf_counter()
    complete = False
    try:
        for frame, promised in iter(frame_queue.waiting.get, None):
            prediction = promised.result()  # raises what the runner raised
            began = time.perf_counter()
            for sink in sinks:
                sink.write(frame, prediction)
            now = time.perf_counter()
            times.add("write", now - began)
            frame_queue.slots.release()
            summary.frames += 1
            if now - reported_at > SECONDS_BETWEEN_REPORTS:
                new_frames = summary.frames - reported_frames
                report.advance(new_frames, f"{new_frames / (now - reported_at):.1f} FPS")
                reported_frames, reported_at = summary.frames, now
        complete = True
    finally:
        report.advance(summary.frames - reported_frames)
        if not complete:
            # The decoder may be waiting for a slot: free one, so that it wakes, sees `stop` and
            # ends. The frames that it has queued meanwhile give their slots back too.
            frame_queue.stop.set()
            frame_queue.slots.release()
            for _ in iter(frame_queue.waiting.get, None):
                frame_queue.slots.release()
