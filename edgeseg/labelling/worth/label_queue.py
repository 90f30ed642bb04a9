"""The queue of a person who labels: frames in the order of what their labels are worth."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.labelling.worth.queue_sources import QueueSource, frames_of_source
from edgeseg.progress import ProgressReporter
from edgeseg.site import Site


@dataclass(frozen=True)
class QueuedFrame:
    """A frame that waits for a label.

    Attributes:
        frame: Its id.
        worth: 1 for the first of the queue, less for what would teach less; never below 0.
        reasons: Why it stands here, in a person's words, the weightiest first.
    """

    frame: str
    worth: float
    reasons: tuple[str, ...]


def build_queue(
    site: Site,
    source: QueueSource = "footage",
    limit: int | None = None,
    *,
    report: ProgressReporter | None = None,
) -> tuple[QueuedFrame, ...]:
    """Return the frames of a source in the order in which labels are worth most.

    Args:
        site: The site.
        source: Where the frames come from, see `queue_sources`.
        limit: The number of frames to return at most; all of them if left out.
        report: Told how far looking at the frames has come.

    Raises:
        DataError: The index is damaged.
    """
    frames = frames_of_source(site, source)
    order = _evenly_spread_order(len(frames))[:limit]
    return tuple(
        QueuedFrame(frames[place].id, round(1 / (1 + rank), 4), ("evenly spread over the footage",))
        for rank, place in enumerate(order)
    )


def _evenly_spread_order(number: int) -> list[int]:
    """Return all places below `number` such that any first few lie far apart.

    Of 8 places: 0 4 2 6 1 5 3 7, the bits of each counter read backwards.
    """
    bits = max(1, (number - 1).bit_length())
    mirrored = (int(f"{count:0{bits}b}"[::-1], 2) for count in range(1 << bits))
    return [place for place in mirrored if place < number]
