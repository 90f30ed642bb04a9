"""The JSON line that `edgeseg infer --json` prints for each frame.

    {"frame": 3, "name": "000003", "camera": "gate", "time": 0.3, "score": 0.25,
     "area": {"sky": 0.5, "water": 0.5}}

All on one line. `frame` counts from 0, gaps are frames that a live camera dropped; `name` is also
the file name of the frame's mask or overlay; `time` is in seconds since the start of the video or
of the run, null for image files; `score` is the share of unreliable pixels in 0..1, null where the
bundle gave no number; `area` is each class's share of the pixels in 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import TextIO

from edgeseg.config import ClassSpec
from edgeseg.json_text import to_json
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.outputs.base import Sink, output_name
from edgeseg.runtime.sources.base import SourceFrame


class JsonLinesSink(Sink):
    """Prints one JSON line per frame.

    Attributes:
        reader_gone: Whether the reader of the stream has closed it, as `| head` does.
    """

    def __init__(self, stream: TextIO, classes: Sequence[ClassSpec], stop: Event) -> None:
        """Take the stream.

        Args:
            stream: Gets the lines.
            classes: The classes, for their names.
            stop: Set once nobody reads the stream any more, which ends the run.
        """
        self.reader_gone = False
        self._stream, self._stop = stream, stop
        self._names = [spec.name for spec in classes]

    def write(self, frame: SourceFrame, prediction: Prediction) -> None:
        """Print one line and flush it, so that a reader sees each frame at once."""
        area = {
            name: round(share, 5) for name, share in zip(self._names, prediction.area[0].tolist())
        }
        line = {
            "frame": frame.number,
            "name": output_name(frame),
            "camera": frame.camera,
            "time": None if frame.time is None else round(frame.time, 3),
            "score": round(float(prediction.score[0]), 5),
            "area": area,
        }
        if not self.reader_gone:
            try:
                print(to_json(line), file=self._stream, flush=True)
            except BrokenPipeError:
                self.reader_gone = True
                self._stop.set()
