"""The frame log of a device, open for writing.

`offer` decides in microseconds and hands candidates to one writer thread; inference never waits for
the disk, and a disk that fails or fills up never stops it. Which frames are logged is decided in
`frame_selection`; a full disk is handled in `record_store`.
"""

from __future__ import annotations

import queue
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from edgeseg.atomic_files import lock_folder
from edgeseg.config import LogConfig
from edgeseg.errors import FrameLogError
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.runtime.framelog.eviction import LOG_REASONS
from edgeseg.runtime.framelog.frame_selection import AdmittedFrame, FrameSelection, LogCandidate
from edgeseg.runtime.framelog.log_folder import move_aside
from edgeseg.runtime.framelog.record_format import EntropyMap
from edgeseg.runtime.framelog.record_store import RecordStore
from edgeseg.runtime.framelog.record_writer import LoggedFrame, RecordWriter

QUEUE_LENGTH = 8  # frames that may wait for the disk
# Places of the queue that score frames leave free: were control frames lost in a rush, those that
# are left would no longer be a random sample.
RESERVED_FOR_CONTROL = 2
# Recorded footage waits for the disk so long before a frame is dropped after all.
LONGEST_WAIT_SECONDS = 30.0
CLOSE_SECONDS = 30  # a disk that hangs for longer at the end is given up
OWN_NAMES = {".lock", "boot", "tmp", "ready", "sent", "bad", "lost+found"}
ABOVE_THRESHOLD = LogCandidate("score", 1.0, ())


class FrameLog:
    """A frame log open for writing; made by `FrameLog.open`, closed by the `with` block.

    Attributes:
        folder: Where it lies.
    """

    def __init__(
        self,
        folder: Path,
        selection: FrameSelection,
        store: RecordStore,
        writer: RecordWriter,
        resources: ExitStack,
    ) -> None:
        """Start the writer thread; `open` does the rest.

        Args:
            folder: Where the log lies.
            selection: Decides which frames are logged.
            store: Holds the records.
            writer: Writes them into the store.
            resources: The lock of the folder, let go of by `close`.
        """
        self.folder = folder
        self._selection = selection
        self._store = store
        self._writer = writer
        self._resources = resources
        self._counts: Counter[str] = Counter()
        self._count_lock = threading.Lock()
        self._closed = False
        self._queue: queue.Queue[tuple[LoggedFrame, LogCandidate] | None] = queue.Queue(
            QUEUE_LENGTH
        )
        # A daemon: a disk that hangs must not keep the process alive.
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
        """Lock `folder`, make it a frame log if it is empty, and tidy up after a killed writer.

        Args:
            folder: An empty or a new folder, or a frame log.
            config: Budget and quotas.
            device: The name of this device.
            model: Digest of the bundle whose predictions are logged.
            threshold: Score from which a frame is worth logging.
            clock: Wall time in seconds; only noted, never used to order or expire anything.
            seed: Of the control stream.

        Raises:
            FrameLogError: Another process writes to it, it holds something else, or it cannot be
                written.
        """
        with ExitStack() as resources:
            try:
                _require_log_folder(folder)
                # Whatever else bears the name of the lock file would keep the log from starting.
                move_aside(folder / ".lock", stat.S_ISREG)
                resources.enter_context(lock_folder(folder, FrameLogError))
                store = RecordStore(folder, config)
            except OSError as error:
                raise FrameLogError(
                    f"{folder} cannot be used as a frame log ({error.strerror}); "
                    "make it writable or choose another folder"
                ) from None
            selection = FrameSelection(config, threshold, seed)
            writer = RecordWriter(
                store,
                folder,
                device=device,
                model=model,
                threshold=threshold,
                jpeg_quality=config.jpeg_quality,
                clock=clock,
            )
            return cls(folder, selection, store, writer, resources.pop_all())

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
    def state(self) -> str:
        """The state of the disk: "ok", "full" without room for a record, "degraded" if it fails.

        The latter two end by themselves: a full log is tried again after 10 s, a degraded one
        after 60 s.
        """
        return self._writer.state

    @property
    def problem(self) -> str:
        """What the disk said last, one sentence; empty while all is well."""
        return self._writer.problem

    @property
    def boot(self) -> int:
        """How often this log has been opened."""
        return self._store.boot

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of frames by what happened to them; words that never occurred are missing.

        Logged and safe on the disk: "score", "random", "flagged". Not logged: "below" the
        threshold, "poor" picture, "duplicate", "quota" of the hour used up, "queue" full, "invalid"
        score or picture, "full", "degraded". And of records: "evicted_<reason>", and "bad" files
        set aside.
        """
        with self._count_lock:
            counts = dict(self._counts)
        return counts | dict(self._store.counts)

    @property
    def records_written(self) -> int:
        """The number of records acknowledged since the log was opened."""
        counts = self.counts
        return sum(counts.get(reason, 0) for reason in LOG_REASONS)

    def offer(
        self,
        image_rgb: Image,
        *,
        camera: str,
        score: float,
        mask: Mask | None,
        entropy: EntropyMap | None,
        monotonic_ns: int,
        wait: bool = False,
    ) -> None:
        """Log the frame if it is worth it; to be called with every frame.

        Never waits for the disk unless told to. Image, mask and entropy must not be written to
        afterwards.

        Args:
            image_rgb: (H, W, 3) uint8.
            camera: The name of the camera.
            score: Share of unreliable pixels, 0..1.
            mask: (h, w) uint8 class ids.
            entropy: (h, w) float32 in 0..1.
            monotonic_ns: When the frame was taken, on the monotonic clock.
            wait: For recorded footage, which can wait for the disk where a camera cannot.
        """
        candidate = self._selection.prefilter(image_rgb, camera, score, monotonic_ns)
        if isinstance(candidate, str):
            self._count(candidate)
            return
        free_places = QUEUE_LENGTH - self._queue.qsize()
        if not wait and candidate.reason == "score" and free_places <= RESERVED_FOR_CONTROL:
            self._count("queue")
            return
        frame = LoggedFrame(image_rgb, camera, score, mask, entropy, monotonic_ns)
        timeout = LONGEST_WAIT_SECONDS if wait else None
        try:
            self._queue.put((frame, candidate), block=wait, timeout=timeout)
        except queue.Full:
            self._count("queue")

    def put(
        self,
        image_rgb: Image,
        *,
        camera: str,
        score: float,
        mask: Mask | None,
        entropy: EntropyMap | None,
        monotonic_ns: int,
        candidate: LogCandidate = ABOVE_THRESHOLD,
    ) -> Path:
        """Write one record whatever its worth, and return its path once it survives a power cut.

        Args:
            candidate: Why the frame is logged; all other arguments are those of `offer`.

        Raises:
            FrameLogError: There is no room, or the disk fails; the log is "full" or "degraded"
                then.
            ValueError: The frame is too large, or no picture at all.
        """
        frame = LoggedFrame(image_rgb, camera, score, mask, entropy, monotonic_ns)
        return self._put(frame, candidate)

    def close(self) -> None:
        """Write what waits, then let go of the folder; harmless to repeat."""
        if self._closed:
            return
        self._closed = True
        with suppress(queue.Full):
            self._queue.put(None, timeout=CLOSE_SECONDS)
        self._thread.join(CLOSE_SECONDS)
        self._resources.close()

    def _put(self, frame: LoggedFrame, candidate: LogCandidate) -> Path:
        path = self._writer.write(frame, candidate)
        self._count(candidate.reason)
        return path

    def _write_queued(self) -> None:
        """Write the queued frames in order, until None comes: the writer thread."""
        while (queued := self._queue.get()) is not None:
            frame, candidate = queued
            admitted = self._selection.admit(candidate, frame.image, frame.monotonic_ns)
            if isinstance(admitted, str):
                self._count(admitted)
            else:
                self._write_admitted(frame, admitted)

    def _write_admitted(self, frame: LoggedFrame, admitted: AdmittedFrame) -> None:
        try:
            self._put(frame, admitted.candidate)
        except FrameLogError:
            self._count(self.state)
        except ValueError:
            self._count("invalid")
        else:
            self._selection.commit(admitted, frame.monotonic_ns)

    def _count(self, word: str) -> None:
        with self._count_lock:
            self._counts[word] += 1


def _require_log_folder(folder: Path) -> None:
    """Make `folder` if it is missing; refuse one that holds other things.

    Raises:
        FrameLogError: It holds other things and is no frame log.
        OSError: It cannot be made or read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    is_log = (folder / "ready").is_dir() or (folder / "boot").is_file()
    if not is_log and any(path.name not in OWN_NAMES for path in folder.iterdir()):
        raise FrameLogError(
            f"{folder} holds other things and is no frame log; choose an empty or a new folder"
        )
