"""Stages run side by side, in order and within bounds, and any failure anywhere ends the run
cleanly.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.errors import EdgesegError, SourceError
from edgeseg.runtime.backends.base import Prediction, Runner
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.outputs.base import Sink
from edgeseg.runtime.pipeline import STAGES, PipelineSummary, run_pipeline
from edgeseg.runtime.sources.base import Source, SourceFrame, SourceStatistics
from tests.helpers.bundles import CLASSES, HEIGHT, WIDTH, manifest, painted

COUNT = 12


def do_nothing(*arguments: object) -> None:
    return None


class PatternSource:
    """A source of `count` frames, each of one class, told by its number."""

    name = "pattern"
    fps: float | None = None

    def __init__(
        self, count: int = COUNT, before: Callable[[int], None] = do_nothing, live: bool = False
    ) -> None:
        self.total: int | None = count
        self.before, self.live, self.statistics, self.closed = (
            before,
            live,
            SourceStatistics(),
            False,
        )
        self.read = 0

    def frames(self, stop: threading.Event) -> Iterator[SourceFrame]:
        for number in range(self.total or 0):
            if stop.is_set():
                return
            self.before(number)
            self.read += 1
            image = painted(np.array([[number % len(CLASSES)]]), 48, 80)
            yield SourceFrame(
                np.ascontiguousarray(image),
                number,
                f"{number:06d}",
                "cam",
                number / 10,
                time.monotonic_ns(),
            )

    def close(self) -> None:
        self.closed = True


class RecordingSink(Sink):
    def __init__(
        self, during: Callable[[int], None] = do_nothing, at_end: Callable[[], None] = do_nothing
    ) -> None:
        self.during, self.at_end = during, at_end
        self.numbers: list[int] = []
        self.classes: list[int] = []
        self.ended = ""

    def write(self, frame: SourceFrame, prediction: Prediction) -> None:
        self.during(frame.number)
        self.numbers.append(frame.number)
        self.classes.append(int(prediction.mask[0, HEIGHT // 2, WIDTH // 2]))

    def finish(self) -> None:
        self.at_end()
        self.ended = "finished"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"


class FakeRunner:
    """A runner that predicts class 0 everywhere."""

    flavour, backend = "fp32", "cpu"

    def __init__(self, during: Callable[[], None] = do_nothing, streams: int = 2) -> None:
        self.during, self.streams = during, streams
        self.bundle: Any = SimpleNamespace(manifest=manifest())

    def __call__(self, frames: NDArray[np.uint8]) -> Prediction:
        assert frames.shape == (1, HEIGHT, WIDTH, 3)
        self.during()
        zeros = np.zeros((1, HEIGHT, WIDTH), np.uint8)
        return Prediction(
            zeros,
            np.zeros((1, 4, 4), np.float32),
            np.zeros(1, np.float32),
            np.zeros((1, 4), np.float32),
        )


def run_with_deadline(
    source: PatternSource, runner: FakeRunner, *sinks: Sink, **options: Any
) -> PipelineSummary:
    """Run, and fail the test if the run hangs or leaves a thread behind."""
    before = set(threading.enumerate())
    pool = ThreadPoolExecutor(1)
    running = pool.submit(
        run_pipeline, cast(Source, source), cast(Runner, runner), sinks, **options
    )
    wait([running], timeout=20)
    assert running.done(), "the run hangs"
    pool.shutdown()
    assert source.closed
    assert set(threading.enumerate()) <= before
    return running.result()


def test_every_frame_arrives_once_in_order_with_its_own_prediction(bundle_path: Path) -> None:
    first, second = RecordingSink(), RecordingSink()
    with open_runner(bundle_path, "cpu", "fp32", 2, streams=2) as runner:
        summary = run_pipeline(cast(Source, PatternSource()), runner, [first, second])
    assert first.numbers == second.numbers == list(range(COUNT))
    assert first.classes == [number % len(CLASSES) for number in range(COUNT)]
    assert first.ended == second.ended == "finished"
    assert (summary.frames, summary.ended) == (COUNT, "end of source") and summary.fps > 0
    assert set(summary.stages) == set(STAGES)
    assert all(0 <= low <= high <= highest for low, high, highest in summary.stages.values())


def test_limit_ends_the_run_and_nothing_more_is_read() -> None:
    source, kept = PatternSource(), RecordingSink()
    summary = run_with_deadline(source, FakeRunner(), kept, limit=5)
    assert kept.numbers == list(range(5)) and source.read == 5
    assert (summary.ended, kept.ended) == ("limit", "finished")


def test_decoding_inference_and_writing_overlap() -> None:
    writing, deciding = threading.Event(), threading.Event()

    def read(number: int) -> None:
        if number == 3:
            assert writing.wait(10)  # the first frame is being written while the fourth is read

    def during(number: int) -> None:
        writing.set()
        if number == 0:
            assert deciding.wait(10)  # and a later one is inferred meanwhile

    calls: list[int] = []

    def infer() -> None:
        calls.append(1)
        if len(calls) > 1 and writing.is_set():
            deciding.set()

    assert (
        run_with_deadline(
            PatternSource(before=read), FakeRunner(infer), RecordingSink(during)
        ).frames
        == COUNT
    )


def read_while_the_first_is_written(live: bool, streams: int, expected: int) -> int:
    """How many frames are read before the writer is done with the first one."""
    release, seen = threading.Event(), list[int]()

    def read(number: int) -> None:
        if number == expected - 1:
            threading.Timer(0.2, release.set).start()  # time enough to read more, were there room

    def during(number: int) -> None:
        if number == 0:
            release.wait(5)
            seen.append(source.read)

    source = PatternSource(count=100, before=read, live=live)
    run_with_deadline(source, FakeRunner(streams=streams), RecordingSink(during), queue=3)
    return seen[0]


def test_a_slow_writer_holds_the_decoder_back() -> None:
    assert (
        read_while_the_first_is_written(live=False, streams=2, expected=5) == 5
    )  # two in inference, three waiting


def test_a_live_source_keeps_just_one_frame_waiting() -> None:
    assert read_while_the_first_is_written(live=True, streams=1, expected=2) == 2


def test_stop_drains_what_was_read() -> None:
    stop, source, kept = threading.Event(), PatternSource(count=1000), RecordingSink()
    kept.during = lambda number: stop.set() if number == 20 else None
    summary = run_with_deadline(source, FakeRunner(), kept, stop=stop)
    assert summary.ended == "stopped" and kept.ended == "finished"
    assert kept.numbers == list(range(source.read)) and source.read < 40


def fail_at(place: int, error: BaseException) -> Callable[[int], None]:
    def during(number: int) -> None:
        if number == place:
            raise error

    return during


@pytest.mark.parametrize("place", [0, 1, COUNT - 1])
def test_a_source_that_fails_aborts_the_sinks_after_what_came_before(place: int) -> None:
    kept = RecordingSink()
    with pytest.raises(SourceError, match="lens cap"):
        run_with_deadline(
            PatternSource(before=fail_at(place, SourceError("lens cap"))), FakeRunner(), kept
        )
    assert kept.numbers == list(range(place)) and kept.ended == "aborted"


@pytest.mark.parametrize("place", [0, COUNT - 1])
@pytest.mark.parametrize(
    "error", [EdgesegError("disk full"), KeyboardInterrupt(), ValueError("bug")]
)
def test_a_sink_that_fails_ends_the_run(place: int, error: BaseException) -> None:
    before = RecordingSink()  # gets each frame before the sink that fails
    with pytest.raises(type(error)):
        run_with_deadline(
            PatternSource(), FakeRunner(), before, RecordingSink(fail_at(place, error)), queue=1
        )
    assert before.ended == "aborted" and before.numbers == list(range(place + 1))


def test_a_sink_that_cannot_finish_ends_the_run() -> None:
    def at_end() -> None:
        raise EdgesegError("disk full")

    first, last = RecordingSink(), RecordingSink()
    with pytest.raises(EdgesegError, match="disk full"):
        run_with_deadline(PatternSource(), FakeRunner(), first, RecordingSink(at_end=at_end), last)
    assert (first.ended, last.ended) == ("finished", "aborted")


def test_an_engine_that_fails_ends_the_run() -> None:
    calls: list[int] = []

    def during() -> None:
        calls.append(1)
        if len(calls) == 6:
            raise EdgesegError("out of memory")

    kept = RecordingSink()
    with pytest.raises(EdgesegError, match="out of memory"):
        run_with_deadline(PatternSource(count=1000), FakeRunner(during), kept)
    assert kept.ended == "aborted" and len(kept.numbers) < 10
