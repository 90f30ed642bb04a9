"""The JSON line that `edgeseg infer --json` prints for each frame.

    {"frame": 3, "name": "000003", "camera": "gate", "time": 0.3, "score": 0.25,
     "area": {"sky": 0.5, "water": 0.5}}

All on one line. `FrameLine` tells what the keys mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Annotated, TextIO

from pydantic import Field

from edgeseg.config import ClassSpec
from edgeseg.json_text import to_json
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.outputs.base import Sink, output_name
from edgeseg.runtime.sources.base import SourceFrame

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class FrameLine:
    """The line of one frame; later versions may add keys.

    Attributes:
        frame: Number of the frame, counted from 0; gaps are frames that a live camera dropped.
        name: Name of the frame, also of its mask or overlay without suffix.
        camera: Name of the camera.
        time: Seconds since the start of the video or of the run; null for image files.
        score: Share of unreliable pixels; null where the bundle gave no number from 0 to 1.
        area: Share of each class in the pixels; null as above.
    """

    frame: Annotated[int, Field(ge=0)]
    name: str
    camera: str
    time: float | None
    score: Share | None
    area: dict[str, Share | None]


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
        shares = zip(self._names, prediction.area[0].tolist())
        line = FrameLine(
            frame=frame.number,
            name=output_name(frame),
            camera=frame.camera,
            time=None if frame.time is None else round(frame.time, 3),
            score=_share(float(prediction.score[0])),
            area={name: _share(share) for name, share in shares},
        )
        if not self.reader_gone:
            try:
                print(to_json(vars(line)), file=self._stream, flush=True)
            except BrokenPipeError:
                self.reader_gone = True
                self._stop.set()


def _share(value: float) -> float | None:
    """Return a share with 5 digits; None where it is none."""
    value = round(value, 5) if math.isfinite(value) else -1.0
    return value if 0 <= value <= 1 else None
