"""Which classes the labels of frames show: each mask is read once, and kept until it changes.

`cache/browse/label-classes.json` may be deleted at any time.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from edgeseg.atomic_files import write_atomic
from edgeseg.data.class_pixels import frame_class_pixels
from edgeseg.errors import EdgesegError
from edgeseg.json_text import to_json
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Frame, Site

FORMAT = 1
MOST_BYTES = 500_000_000  # of the file that is read
TELL_SECONDS = 1.0  # between news for those who look
KEEP_SECONDS = 60.0  # between writes of the table, which takes seconds when it is long
Stamp = tuple[int, int]  # time in nanoseconds, size


class LabelClasses:
    """Pixels of each class in the labels of a site. Its methods may be called from any thread."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._path: Path = site.root / "cache" / "browse" / "label-classes.json"
        self._known: dict[str, tuple[Stamp, tuple[int, ...]]] | None = None
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None
        self._asked: Sequence[Frame] = ()
        self.version = 0  # changes when more is known
        self.left = 0  # masks that are still to be read

    def pixels(self, frame: Frame) -> tuple[int, ...] | None:
        """Return the pixels of each class, (C,), in a frame's label; None where it is not known."""
        found = (self._known or {}).get(frame.id)
        return None if found is None or frame.mask is None else found[1]

    def read(self, frames: Sequence[Frame], report: ProgressReporter | None = None) -> None:
        """Read the labels of frames that are not known as they are now."""
        report = report or NullReporter()
        if self._known is None:
            self._known = self._stored()
        missing = [
            (frame, stamp)
            for frame in frames
            if frame.mask is not None
            and (stamp := self._stamp(frame)) is not None
            and self._known.get(frame.id, (None,))[0] != stamp
        ]
        self.left = len(missing)
        if missing:
            report.start("reading labels", len(missing))
        kept = told = time.monotonic()
        try:
            for frame, stamp in missing:
                report.advance()
                try:
                    pixels = tuple(frame_class_pixels(self._site, frame))
                except (EdgesegError, OSError, ValueError, MemoryError):
                    pixels = ()  # `edgeseg status` names it
                self._known[frame.id] = stamp, pixels
                self.left -= 1
                now = time.monotonic()
                if now - told > TELL_SECONDS:
                    self.version += 1
                    told = now
                if now - kept > KEEP_SECONDS:
                    self._keep()
                    kept = time.monotonic()
        finally:
            self.left = 0  # whatever ended it: nobody waits for the rest
            if missing:
                self._keep()
                self.version += 1
            report.stop()

    def read_beside(self, frames: Sequence[Frame]) -> None:
        """Have a thread read the labels; `version` and `left` tell how far it has come."""
        with self._lock:
            self._asked = frames
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, daemon=True)
                self._worker.start()

    def wait(self, seconds: float) -> None:
        """Wait for the thread, if there is one."""
        worker = self._worker
        if worker is not None:
            worker.join(seconds)

    def _work(self) -> None:
        while True:
            with self._lock:
                asked, self._asked = self._asked, ()
                if not asked:
                    self._worker = None
                    return
            try:
                self.read(asked)
            except BaseException:
                with self._lock:
                    self._worker = None  # the next one who asks starts another
                raise

    def _stamp(self, frame: Frame) -> Stamp | None:
        try:
            facts = self._site.path(frame.mask or "").stat()
        except (OSError, EdgesegError):
            return None
        return facts.st_mtime_ns, facts.st_size

    def _stored(self) -> dict[str, tuple[Stamp, tuple[int, ...]]]:
        classes = len(self._site.config.classes)
        try:
            if self._path.stat().st_size > MOST_BYTES:
                return {}
            table = json.loads(self._path.read_bytes())
            if table["format"] != FORMAT or table["classes"] != classes:
                return {}
            return {
                str(name): ((int(time), int(size)), tuple(map(int, pixels)))
                for name, (time, size, pixels) in table["masks"].items()
                if len(pixels) in (0, classes)
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}

    def _keep(self) -> None:
        masks = {name: [*stamp, pixels] for name, (stamp, pixels) in (self._known or {}).items()}
        classes = len(self._site.config.classes)
        table = {"format": FORMAT, "classes": classes, "masks": masks}
        try:
            write_atomic(self._path, to_json(table).encode(), sync=False)
        except OSError:
            return  # read again the next time
