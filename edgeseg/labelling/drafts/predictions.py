"""Predictions to start from, each made once and by one thread at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict

from edgeseg.labelling.starting_masks import StartingMask, StartingMasks
from edgeseg.site import Frame, Site

MOST_KEPT = 6  # predictions in memory


class Predictions:
    """What the site's best model predicts for its frames."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._masks = StartingMasks(site)
        self._kept: OrderedDict[str, StartingMask | None] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, frame: Frame) -> StartingMask | None:
        """Return the prediction for a frame; None where the site has no model.

        Raises:
            DataError: The frame's image is missing or damaged.
        """
        with self._lock:
            if frame.id not in self._kept:
                self._kept[frame.id] = self._masks.of(frame)
            self._kept.move_to_end(frame.id)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
            return self._kept[frame.id]

    def forget(self) -> None:
        """Let the model go; the next frame opens the one that is best by then."""
        with self._lock:
            self._masks.close()
            self._kept.clear()
