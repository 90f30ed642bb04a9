"""Which record of a frame log is deleted first when room is needed.

Records that the training site already has go first; then poor pictures; then, of the frames logged
for their score, the one with the lowest score in the hour that holds most. Pure bookkeeping: no
file is touched here.
"""

from __future__ import annotations

import heapq
from typing import Literal, NamedTuple, get_args

from edgeseg.runtime.framelog.record_header import LogReason

RecordState = Literal["ready", "sent"]
LOG_REASONS: tuple[LogReason, ...] = get_args(LogReason)
OUTDATED_LIMIT = 1000  # outdated entries in a heap of shards beyond which it is built anew


class StoredRecord(NamedTuple):
    """One record in the store; the fields are in the order in which records are compared.

    Attributes:
        rank: Within a shard the record with the lowest is deleted first.
        name: File name.
        shard: Name of its folder, `<boot>-<hour>-<reason>`.
        size: Bytes on the disk.
    """

    rank: str
    name: str
    shard: str
    size: int


class ReasonQueue:
    """The records of one reason; the next to be deleted is in the shard that holds most.

    A shard is one hour, so every hour stays represented however full the log is. Among equally
    full hours the oldest gives. Each operation costs O(log n).
    """

    def __init__(self) -> None:
        self.count = 0
        self._shards: dict[str, list[StoredRecord]] = {}  # each a heap
        # A heap of (-number of records, shard). A change of a shard adds an entry, and those it
        # makes outdated stay until they come to the top, where they are told by their number.
        self._by_fullness: list[tuple[int, str]] = []

    def add(self, record: StoredRecord) -> None:
        """Take in a record."""
        heapq.heappush(self._shards.setdefault(record.shard, []), record)
        self.count += 1
        self._push(record.shard)

    def first(self) -> StoredRecord:
        """Return the record to be deleted next; the queue must not be empty."""
        while True:
            number, shard = self._by_fullness[0]
            if len(self._shards.get(shard, ())) == -number:
                return self._shards[shard][0]
            heapq.heappop(self._by_fullness)

    def pop(self) -> bool:
        """Forget the record that `first` returns; return whether its shard is empty now."""
        shard = self.first().shard
        heapq.heappop(self._shards[shard])
        self.count -= 1
        if not self._shards[shard]:
            del self._shards[shard]
            return True
        self._push(shard)
        return False

    def _push(self, shard: str) -> None:
        heapq.heappush(self._by_fullness, (-len(self._shards[shard]), shard))
        # A shard's entries for smaller numbers never come to the top while it grows; without this
        # the heap would grow for as long as the device runs.
        if len(self._by_fullness) > OUTDATED_LIMIT + 4 * len(self._shards):
            self._by_fullness = [(-len(records), name) for name, records in self._shards.items()]
            heapq.heapify(self._by_fullness)


class EvictionOrder:
    """All records of a log, in the order in which they would be deleted.

    Sent ones go first, the oldest before the others; then flagged ones; then those with the lowest
    score in the fullest hour. Control frames are spared while they are no more than their share of
    control and score frames together: beyond it they go first, or in the end they would fill the
    log.
    """

    def __init__(self, random_share: float) -> None:
        """Begin without records.

        Args:
            random_share: Share of control frames up to which they are spared, 0..1.
        """
        self._random_share = random_share
        self._sent: list[StoredRecord] = []  # a heap by file name, which begins with (boot, seq)
        self._ready = {reason: ReasonQueue() for reason in LOG_REASONS}

    def __len__(self) -> int:
        return len(self._sent) + sum(queue.count for queue in self._ready.values())

    def add(self, state: RecordState, reason: LogReason, shard: str, name: str, size: int) -> None:
        """Take in a record.

        Args:
            state: "ready" or "sent".
            reason: Why it was logged.
            shard: Name of its folder.
            name: File name, `<boot>-<seq>-<score>-<digest>.esr`.
            size: Bytes on the disk.
        """
        if state == "sent":
            heapq.heappush(self._sent, StoredRecord("", name, shard, size))
            return
        _, _, score, digest = name.removesuffix(".esr").split("-")
        # Control frames go in the order of their digests, which is random: by score, the sample
        # that is left would no longer stand for all frames.
        rank = digest if reason == "random" else score
        self._ready[reason].add(StoredRecord(rank, name, shard, size))

    def first(self) -> tuple[RecordState, LogReason, StoredRecord]:
        """Return the record to be deleted next; there must be one.

        For a sent record the reason is of no meaning.
        """
        if self._sent:
            return "sent", "score", self._sent[0]
        reason = self._next_reason()
        return "ready", reason, self._ready[reason].first()

    def pop(self) -> bool:
        """Forget the record that `first` returns; return whether its shard is empty now.

        False for a sent record, of whose shards no account is kept.
        """
        if self._sent:
            heapq.heappop(self._sent)
            return False
        return self._ready[self._next_reason()].pop()

    def _next_reason(self) -> LogReason:
        if self._ready["flagged"].count:
            return "flagged"
        score, control = self._ready["score"].count, self._ready["random"].count
        control_is_over = control > self._random_share * (control + score)
        return "random" if control_is_over or not score else "score"
