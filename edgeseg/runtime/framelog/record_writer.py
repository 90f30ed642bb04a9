"""Turns frames into records and commits them; retries later where the disk fails or is full."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from edgeseg.errors import FrameLogError
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.runtime.framelog.frame_selection import LogCandidate
from edgeseg.runtime.framelog.log_folder import shard_name
from edgeseg.runtime.framelog.logging_rate import HOUR_NS
from edgeseg.runtime.framelog.record_format import EntropyMap, encode_parts, encode_record
from edgeseg.runtime.framelog.record_header import RecordMetadata
from edgeseg.runtime.framelog.record_store import NO_SPACE, LogFullError, RecordStore

WriterState = Literal["ok", "full", "degraded"]
# Somebody may free space at any moment; a broken disk is given more time, as each try may hang.
RETRY_NS: dict[WriterState, int] = {"full": 10_000_000_000, "degraded": 60_000_000_000}
CAMERA_LENGTH = 256  # characters that a record holds of a camera's name
TIME_ERROR = 5  # what adjtimex returns for a clock that is not synchronized


class LoggedFrame(NamedTuple):
    """One frame with its prediction, to be written as a record.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        camera: The name of the camera.
        score: Share of unreliable pixels, 0..1.
        mask: (h, w) uint8 class ids, or None.
        entropy: (h, w) float32 in 0..1, or None.
        monotonic_ns: When it was taken, on the monotonic clock.
    """

    image: Image
    camera: str
    score: float
    mask: Mask | None
    entropy: EntropyMap | None
    monotonic_ns: int


class RecordWriter:
    """Writes the records of one log, one at a time, from any thread.

    Attributes:
        state: "ok"; "full" while there is no room and it cannot be made; "degraded" while the disk
            fails.
        problem: What the disk said last, one sentence; empty while all is well.
    """

    def __init__(
        self,
        store: RecordStore,
        path: Path,
        *,
        device: str,
        model: str,
        threshold: float,
        jpeg_quality: int,
        clock: Callable[[], float],
    ) -> None:
        """Note what is the same in all records.

        Args:
            store: Where the records go.
            path: What messages call the log.
            device: The name of the device.
            model: Digest of the bundle whose predictions are logged.
            threshold: Score from which frames are logged.
            jpeg_quality: Of the frames, 0..100.
            clock: Wall time in seconds; only noted.
        """
        self.state: WriterState = "ok"
        self.problem = ""
        self._store = store
        self._path = path
        self._device, self._model, self._threshold = device, model, threshold
        self._jpeg_quality, self._clock = jpeg_quality, clock
        self._lock = threading.Lock()
        self._seq = 0
        self._first_ns: int | None = None  # when the first frame was taken: hours count from there
        self._retry_at_ns = 0

    def write(self, frame: LoggedFrame, candidate: LogCandidate) -> Path:
        """Write one record and return its path once it survives a power cut.

        Raises:
            FrameLogError: There is no room, or the disk fails; or that was so a moment ago, and it
                is not yet time to try again.
            ValueError: The frame is too large, or no picture at all.
        """
        with self._lock:
            now_ns = frame.monotonic_ns
            # The upper bound ends the wait when the frames' clock has gone back.
            if self.state != "ok" and 0 < self._retry_at_ns - now_ns <= RETRY_NS[self.state]:
                raise FrameLogError(self.problem)
            self._first_ns = now_ns if self._first_ns is None else self._first_ns
            hour = max(0, now_ns - self._first_ns) // HOUR_NS
            metadata = self._describe(frame, candidate)
            parts = encode_parts(frame.image, frame.mask, frame.entropy, quality=self._jpeg_quality)
            name, data = encode_record(metadata, parts)
            self._seq += 1  # even if the disk refuses: no two records may ever bear one number
            shard = shard_name(self._store.boot, hour, candidate.reason)
            return self._commit(shard, name, data, now_ns)

    def _describe(self, frame: LoggedFrame, candidate: LogCandidate) -> RecordMetadata:
        return RecordMetadata(
            device=self._device,
            camera=frame.camera[:CAMERA_LENGTH],
            boot=self._store.boot,
            seq=self._seq,
            monotonic_ns=frame.monotonic_ns,
            time=self._clock(),
            clock_synced=clock_synced(),
            model=self._model,
            threshold=self._threshold,
            reason=candidate.reason,
            probability=candidate.probability,
            score=float(frame.score),
            flags=candidate.flags,
            height=frame.image.shape[0],
            width=frame.image.shape[1],
        )

    def _commit(self, shard: str, name: str, data: bytes, now_ns: int) -> Path:
        try:
            if self.state != "ok":
                self._store.prepare()  # the folders may be gone, with a card that was swapped say
            # A log found full deletes nothing at the next tries, or it would lose one record after
            # the other to a volume that somebody else keeps full.
            path = self._store.put(shard, name, data, evict=self.state != "full")
        except LogFullError as error:
            raise self._fail("full", str(error), now_ns) from None
        except OSError as error:
            state: WriterState = "full" if error.errno in NO_SPACE else "degraded"
            problem = (
                f"{self._path} cannot be written ({error.strerror}); "
                "mend the disk, logging then goes on by itself"
            )
            raise self._fail(state, problem, now_ns) from None
        self.state, self.problem = "ok", ""
        return path

    def _fail(self, state: WriterState, problem: str, now_ns: int) -> FrameLogError:
        self.state, self.problem, self._retry_at_ns = state, problem, now_ns + RETRY_NS[state]
        return FrameLogError(problem)


def clock_synced() -> bool | None:
    """Return whether the kernel says that its wall clock is synchronized; None if it cannot."""
    try:
        request = ctypes.create_string_buffer(512)  # a struct timex of zeros: read, change nothing
        state = int(ctypes.CDLL(None).adjtimex(request))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != TIME_ERROR
