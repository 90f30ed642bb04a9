"""The interface of every output of `edgeseg infer`, and how an output writes a file.

Everything is written beside its final name and renamed when it is whole, so that a killed run
leaves no truncated file that looks finished.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edgeseg.atomic_files import MAX_NAME_BYTES, shorten_name, write_atomic
from edgeseg.errors import EdgesegError
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.sources.base import SourceFrame


class Sink(Protocol):
    """A destination of predictions; the pipeline calls it from one thread, in frame order."""

    def write(self, frame: SourceFrame, prediction: Prediction) -> None:
        """Take one frame and its prediction, a batch of one."""

    def finish(self) -> None:
        """Make the result visible under its final name; called once after the last frame."""
        return None

    def abort(self) -> None:
        """Leave nothing half-done under the final name; called when the run failed."""
        return None


def make_output_folder(folder: Path) -> None:
    """Make `folder` and those above it.

    Raises:
        EdgesegError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgesegError(
            f"the folder {folder} cannot be made ({error.strerror}); choose another place"
        ) from None


def output_name(frame: SourceFrame) -> str:
    """Return the name of a frame's files, without suffix; cut where no file could be so named."""
    return shorten_name(frame.name, MAX_NAME_BYTES - len(".jpg"))


def write_output_file(path: Path, data: bytes) -> None:
    """Write a file under its final name at once or not at all.

    Raises:
        EdgesegError: The disk is full or not writable.
    """
    try:
        # Not synced, unlike a record of the frame log: a run can be repeated.
        write_atomic(path, data, sync=False)
    except OSError as error:
        raise EdgesegError(
            f"{path} cannot be written ({error.strerror}); make room or choose another place"
        ) from None
