"""A frame that waits for a label."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class QueuedFrame:
    """A frame in its place in a queue.

    Attributes:
        frame: Its id.
        worth: 1 for the first of the queue, less for what would teach less; never below 0.
        reasons: Why it stands here, in a person's words, the weightiest first.
    """

    frame: str
    worth: float
    reasons: tuple[str, ...]
