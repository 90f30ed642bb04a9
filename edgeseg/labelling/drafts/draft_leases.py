"""Leases: a frame is drawn on in one tab at a time, and whoever comes second is told by whom."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.errors import DataError

LEASE_SECONDS = 90.0  # browsers wake tabs in the background once a minute


class DraftConflictError(DataError):
    """Somebody else draws on the frame, or has drawn on it since it was loaded.

    Attributes:
        kind: "held" by another tab; "stale": the draft is no longer what was loaded; "beginning":
            it begins with something else now, and the tab has to send what it shows.
        person: Who the other is.
    """

    def __init__(self, kind: str, person: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.person = person


@dataclass(frozen=True)
class _Lease:
    tab: str
    person: str
    until: float


class DraftLeases:
    """Who draws on which frame; kept in memory, for a server that starts again is asked again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._leases: dict[str, _Lease] = {}

    def holder(self, frame_id: str, tab: str) -> str | None:
        """Return the person who holds a frame in another tab; None if nobody does."""
        lease = self._leases.get(frame_id)
        if lease is None or lease.tab == tab or lease.until < self._clock():
            return None
        return lease.person

    def take(self, frame_id: str, tab: str, person: str, *, by_force: bool = False) -> None:
        """Hold a frame for a tab, anew or on.

        Raises:
            DraftConflictError: Another tab holds it.
        """
        holder = self.holder(frame_id, tab)
        if holder is not None and not by_force:
            raise DraftConflictError(
                "held",
                holder,
                f"{holder or 'somebody'} draws on this frame in another tab; wait, choose another "
                "frame, or take it over",
            )
        self._leases[frame_id] = _Lease(tab, person, self._clock() + LEASE_SECONDS)

    def release(self, frame_id: str, tab: str) -> None:
        """Let a frame go, if this tab holds it."""
        lease = self._leases.get(frame_id)
        if lease is not None and lease.tab == tab:
            del self._leases[frame_id]
