"""Which record of a frame log goes first when room is needed; pure bookkeeping, no file is touched
here.
"""

from __future__ import annotations

import heapq
from typing import Literal, NamedTuple, get_args

from edgeseg.runtime.framelog.record_format import LogReason

RecordState = Literal["ready", "sent"]
REASONS: tuple[LogReason, ...] = get_args(LogReason)


class StoredRecord(NamedTuple):
    """One stored record: its rank within its shard (the lowest goes first), file name, shard, and
    bytes on the disk.
    """

    rank: str
    name: str
    shard: str
    size: int


class ReasonQueue:
    """Records of one reason, evicted from the fullest shard first so that every hour stays
    represented; O(log n) each.

    A shard is one hour. Among equally full hours the oldest gives.
    """

    def __init__(self) -> None:
        self.count = 0
        self._shards: dict[str, list[StoredRecord]] = {}
        self._order: list[
            tuple[int, str]
        ] = []  # (-records, shard); entries that are no longer true lie among them

    def add(self, entry: StoredRecord) -> None:
        """Take in a record."""
        heapq.heappush(self._shards.setdefault(entry.shard, []), entry)
        self.count += 1
        self._note(entry.shard)

    def first(self) -> StoredRecord:
        """The record to go next; the pile must not be empty."""
        while True:
            number, shard = self._order[0]
            if len(self._shards.get(shard, ())) == -number:
                return self._shards[shard][0]
            heapq.heappop(self._order)

    def pop(self) -> bool:
        """Forget the record that `first` names; True if its shard is empty now."""
        shard = self.first().shard
        heapq.heappop(self._shards[shard])
        self.count -= 1
        if not self._shards[shard]:
            del self._shards[shard]
            return True
        self._note(shard)
        return False

    def _note(self, shard: str) -> None:
        heapq.heappush(self._order, (-len(self._shards[shard]), shard))
        if len(self._order) > 1000 + 4 * len(self._shards):
            self._order = [(-len(entries), name) for name, entries in self._shards.items()]
            heapq.heapify(self._order)


class EvictionOrder:
    """All records of a log, in the order in which they would go.

    Sent ones go first, the oldest before the others; then flagged ones; then those with the lowest
    score in the fullest hour. Control frames are spared while they are no more than their share of
    the rest: beyond it they go first, or in the end they would fill the log.
    """

    def __init__(self, random_share: float) -> None:
        self._share = random_share
        self._sent: list[StoredRecord] = []
        self._ready = {reason: ReasonQueue() for reason in REASONS}

    def __len__(self) -> int:
        return len(self._sent) + sum(pile.count for pile in self._ready.values())

    def add(self, state: RecordState, reason: LogReason, shard: str, name: str, size: int) -> None:
        """Take in the record `name`."""
        if state == "sent":
            heapq.heappush(self._sent, StoredRecord("", name, shard, size))
            return
        _, _, score, digest = name.removesuffix(".esr").split("-")
        rank = (
            digest if reason == "random" else score
        )  # control frames in an order that knows no score
        self._ready[reason].add(StoredRecord(rank, name, shard, size))

    def first(self) -> tuple[RecordState, LogReason, StoredRecord]:
        """The record to go next; the stock must not be empty."""
        if self._sent:
            return "sent", "score", self._sent[0]
        reason = self._next_reason()
        return "ready", reason, self._ready[reason].first()

    def pop(self) -> bool:
        """Forget the record that `first` names; True if its shard is empty now."""
        if self._sent:
            heapq.heappop(self._sent)
            return False
        return self._ready[self._next_reason()].pop()

    def _next_reason(self) -> LogReason:
        score, control = self._ready["score"].count, self._ready["random"].count
        if self._ready["flagged"].count:
            return "flagged"
        return "random" if control > self._share * (control + score) or not score else "score"
