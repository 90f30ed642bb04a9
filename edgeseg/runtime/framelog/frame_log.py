"""The frame log: the bounded store on a device of the frames worth sending home.

`offer` decides in microseconds and hands candidates to one writer thread; inference never waits for
the disk, and a disk that fails or fills up never stops it.
"""

from __future__ import annotations

import ctypes
import queue
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

from edgeseg.atomic_files import lock_folder
from edgeseg.config import LogConfig
from edgeseg.errors import FrameLogError
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.runtime.framelog.eviction import REASONS
from edgeseg.runtime.framelog.frame_selection import HOUR_NS, FrameSelection, LogCandidate
from edgeseg.runtime.framelog.record_format import (
    Entropy,
    RecordMetadata,
    encode_parts,
    encode_record,
)
from edgeseg.runtime.framelog.record_store import (
    LAST_HOUR,
    NO_SPACE,
    LogFullError,
    RecordStore,
    move_aside,
)

QUEUE_LENGTH = 8
LONGEST_WAIT_SECONDS = (
    30.0  # seconds that recorded footage waits for the disk before a frame is dropped after all
)
# places of the queue that score frames leave free: control frames lost in a rush would no longer be
# a sample
RESERVED_FOR_CONTROL = 2
RETRY_NS = {"full": 10_000_000_000, "degraded": 60_000_000_000}
CLOSE_SECONDS = 30  # a disk that hangs for longer at the end is given up
OWN = {".lock", "boot", "tmp", "ready", "sent", "bad", "lost+found"}
ABOVE_THRESHOLD = LogCandidate("score", 1.0, ())


class _QueuedFrame(NamedTuple):
    candidate: LogCandidate
    image: Image
    camera: str
    score: float
    mask: Mask | None
    entropy: Entropy | None
    monotonic_ns: int


class FrameLog:
    """A frame log open for writing; made by `FrameLog.open`, closed by the `with` block.

    Attributes:
        folder: where it lies.
        state: "ok"; "full" while there is no room and it cannot be made; "degraded" while the disk
            fails. Either ends by itself: a full log is tried again after 10 s, a degraded one after
            60 s.
        problem: what the disk said last, one sentence; empty while all is well.
        counts: frames by what became of them. Kept and safe on the disk: "score", "random",
            "flagged". Not logged: "below" the threshold, "poor" picture, "duplicate", "quota" of
            the hour used up, "queue" full, "invalid" score or picture, "full", "degraded". And
            records "evicted_<reason>", and "bad" files set aside.
    """

    def __init__(
        self,
        folder: Path,
        config: LogConfig,
        store: RecordStore,
        selection: FrameSelection,
        held: ExitStack,
        *,
        device: str,
        model: str,
        threshold: float,
        clock: Callable[[], float],
    ) -> None:
        self.folder = folder
        self.state = "ok"
        self.problem = ""
        self._config = config
        self._store = store
        self._selection = selection
        self._held = held
        self._device, self._model, self._threshold, self._clock = device, model, threshold, clock
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._writing = threading.Lock()
        self._seq = 0
        self._began: int | None = None
        self._retry_at = 0
        self._closed = False
        self._queue: queue.Queue[_QueuedFrame | None] = queue.Queue(QUEUE_LENGTH)
        self._thread = threading.Thread(target=self._write_queued, name="frame log", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        folder: Path,
        config: LogConfig,
        *,
        device: str,
        model: str,
        threshold: float,
        clock: Callable[[], float] = time.time,
        seed: int | None = None,
    ) -> FrameLog:
        """Take hold of `folder`, make it a frame log if it is empty, and tidy up after a killed
        writer.

        Args:
            device: name of this device.
            model: digest of the bundle whose predictions are logged.
            threshold: score from which a frame is worth logging.
            clock: wall time in seconds; only noted, never used to order or expire anything.
            seed: of the control stream.

        Raises:
            FrameLogError: another process writes to it, it holds something else, or it cannot be
                written.
        """
        held = ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            known = (folder / "ready").is_dir() or (folder / "boot").is_file()
            if not known and any(path.name not in OWN for path in folder.iterdir()):
                raise FrameLogError(
                    f"{folder} holds other things and is no frame log; choose an empty or a new folder"
                )
            move_aside(folder / ".lock", stat.S_ISREG)
            held.enter_context(lock_folder(folder, FrameLogError))
            store = RecordStore(folder, config)
        except OSError as error:
            held.close()
            raise FrameLogError(
                f"{folder} cannot be used as a frame log ({error.strerror}); make it writable or choose another folder"
            ) from None
        except FrameLogError:
            held.close()
            raise
        selection = FrameSelection(config, threshold, seed)
        return cls(
            folder,
            config,
            store,
            selection,
            held,
            device=device,
            model=model,
            threshold=threshold,
            clock=clock,
        )

    def __enter__(self) -> FrameLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def boot(self) -> int:
        """How often this log has been opened."""
        return self._store.boot

    @property
    def counts(self) -> dict[str, int]:
        """See the class; reasons that never occurred are missing."""
        with self._counting:
            counts = dict(self._counts)
        return counts | dict(self._store.counts)

    @property
    def records_written(self) -> int:
        """Records acknowledged since the log was opened."""
        counts = self.counts
        return sum(counts.get(reason, 0) for reason in REASONS)

    def offer(
        self,
        image_rgb: Image,
        *,
        camera: str,
        score: float,
        mask: Mask | None,
        entropy: Entropy | None,
        monotonic_ns: int,
        wait: bool = False,
    ) -> None:
        """Log the frame if it is worth it; to be called with every frame, never waits for the disk
        unless told to.

        Args:
            image_rgb: (H, W, 3) uint8. This and the next two must not be written to afterwards.
            score: share of unreliable pixels, 0..1.
            mask: (h, w) uint8 class ids.
            entropy: (h, w) float32 in 0..1.
            monotonic_ns: when the frame was taken, on the monotonic clock.
            wait: for recorded footage, which can wait for the disk where a camera cannot.
        """
        chosen = self._selection.prefilter(image_rgb, camera, score, monotonic_ns)
        if isinstance(chosen, str):
            self._count(chosen)
            return
        if (
            not wait
            and chosen.reason == "score"
            and self._queue.qsize() >= QUEUE_LENGTH - RESERVED_FOR_CONTROL
        ):
            self._count("queue")
            return
        try:
            job = _QueuedFrame(chosen, image_rgb, camera, score, mask, entropy, monotonic_ns)
            self._queue.put(job, block=wait, timeout=LONGEST_WAIT_SECONDS if wait else None)
        except queue.Full:
            self._count("queue")

    def put(
        self,
        image_rgb: Image,
        *,
        camera: str,
        score: float,
        mask: Mask | None,
        entropy: Entropy | None,
        monotonic_ns: int,
        candidate: LogCandidate = ABOVE_THRESHOLD,
    ) -> Path:
        """Write one record whatever its worth, and return its path once it survives a power cut.

        Args:
            candidate: why it is logged; the others as for `offer`.

        Raises:
            FrameLogError: there is no room, or the disk fails; the log is "full" or "degraded"
                then.
            ValueError: the frame is too large, or no picture at all.
        """
        with self._writing:
            if self.state != "ok" and 0 < self._retry_at - monotonic_ns <= RETRY_NS[self.state]:
                raise FrameLogError(self.problem)
            self._began = monotonic_ns if self._began is None else self._began
            hour = min(LAST_HOUR, max(0, monotonic_ns - self._began) // HOUR_NS)
            facts = RecordMetadata(
                device=self._device,
                camera=camera[:256],
                boot=self._store.boot,
                seq=self._seq,
                monotonic_ns=monotonic_ns,
                time=self._clock(),
                clock_synced=clock_synced(),
                model=self._model,
                threshold=self._threshold,
                reason=candidate.reason,
                probability=candidate.probability,
                score=float(score),
                flags=candidate.flags,
                height=image_rgb.shape[0],
                width=image_rgb.shape[1],
            )
            name, data = encode_record(
                facts, encode_parts(image_rgb, mask, entropy, quality=self._config.jpeg_quality)
            )
            self._seq += 1
            shard = f"{self._store.boot:06}-{hour:05}-{candidate.reason}"
            path = self._write(shard, name, data, monotonic_ns)
        self._count(candidate.reason)
        return path

    def close(self) -> None:
        """Write what waits, then let go of the folder; harmless to repeat."""
        if self._closed:
            return
        self._closed = True
        with suppress(queue.Full):
            self._queue.put(None, timeout=CLOSE_SECONDS)
        self._thread.join(CLOSE_SECONDS)
        self._held.close()

    def _write(self, shard: str, name: str, data: bytes, now_ns: int) -> Path:
        try:
            if self.state != "ok":
                self._store.prepare()
            path = self._store.put(shard, name, data, evict=self.state != "full")
        except LogFullError as error:
            raise self._fail("full", str(error), now_ns) from None
        except OSError as error:
            state: Literal["full", "degraded"] = "full" if error.errno in NO_SPACE else "degraded"
            what = f"{self.folder} cannot be written ({error.strerror}); mend the disk, logging then goes on by itself"
            raise self._fail(state, what, now_ns) from None
        self.state, self.problem = "ok", ""
        return path

    def _fail(self, state: Literal["full", "degraded"], problem: str, now_ns: int) -> FrameLogError:
        self.state, self.problem, self._retry_at = state, problem, now_ns + RETRY_NS[state]
        return FrameLogError(problem)

    def _write_queued(self) -> None:
        while (job := self._queue.get()) is not None:
            refused = self._selection.check_duplicate(job.candidate, job.image, job.monotonic_ns)
            if refused:
                self._count(refused)
                continue
            try:
                self.put(
                    job.image,
                    camera=job.camera,
                    score=job.score,
                    mask=job.mask,
                    entropy=job.entropy,
                    monotonic_ns=job.monotonic_ns,
                    candidate=job.candidate,
                )
            except FrameLogError:
                self._count(self.state)
            except ValueError:
                self._count("invalid")
            else:
                self._selection.commit(job.candidate, job.monotonic_ns)

    def _count(self, word: str) -> None:
        with self._counting:
            self._counts[word] += 1


def clock_synced() -> bool | None:
    """Whether the kernel believes that its wall clock is synchronized; None where it does not tell."""
    try:
        state = int(
            ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
        )  # all zero: read only
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != 5  # TIME_ERROR
