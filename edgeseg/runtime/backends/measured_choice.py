"""Which engine and which file are fastest on this CPU, as `edgeseg bench` measured them here.

ONNX Runtime and OpenVINO run the same files on a CPU, and which is faster depends on the network
and on the processor. `edgeseg bench` times all files on both in turns, and the result is kept under
a key of all that it depends on; `--backend auto` takes the winner among what passed.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from edgeseg.atomic_files import write_atomic
from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, FP32, Backend, Flavour
from edgeseg.config import Section
from edgeseg.errors import EngineError
from edgeseg.processor import processor_identity
from edgeseg.runtime.backends.base import PrecisionChoice
from edgeseg.runtime.backends.engine_cache import EngineCache, engine_key
from edgeseg.runtime.backends.openvino import library

CPU_ENGINES: tuple[Backend, ...] = ("cpu", "openvino")
LEAST_FRAMES = 20  # fewer tell nothing about which is faster
MOST_MEASUREMENTS = 32  # that are kept
MAX_SIZE = 100_000  # bytes of one


class MeasuredFile(Section):
    """One file on one engine.

    Attributes:
        backend: The engine.
        flavour: The file.
        median_ms: The median time of a frame.
        minimum_ms: The time of the fastest frame.
        agreement: Percent of the golden frames' pixels with the class of FP32 at export.
        passed: Whether its predictions are right on this processor.
    """

    backend: Backend
    flavour: Flavour
    median_ms: float = Field(gt=0)
    minimum_ms: float = Field(gt=0)
    agreement: float | None = None
    passed: bool

    def is_faster(self, other: MeasuredFile) -> bool:
        """Return whether it was faster by medians and by minima, so that it is no accident."""
        return self.median_ms < other.median_ms and self.minimum_ms < other.minimum_ms


class Measurement(Section):
    """What a run of `edgeseg bench` found out about the CPU.

    Attributes:
        format: The layout of this file.
        parts: The key in clear.
        files: All that was timed side by side.
        measured: The time of the run, ISO 8601 in UTC.
    """

    format: Literal[1] = 1
    parts: dict[str, str]
    files: tuple[MeasuredFile, ...]
    measured: str = ""

    def fastest(
        self, precision: PrecisionChoice | Flavour = "auto", engines: Sequence[Backend] = ()
    ) -> MeasuredFile | None:
        """Return the fastest that passed; None if nothing of that precision did.

        An engine that comes later in `CPU_ENGINES` must be faster than those before it by medians
        and by minima.

        Args:
            engines: Those that may be chosen; all if left out.
        """
        best: MeasuredFile | None = None
        for backend in engines or CPU_ENGINES:
            own = [
                file
                for file in self.files
                if file.backend == backend
                and file.passed
                and precision in ("auto", file.flavour, FLAVOURS[file.flavour].precision)
            ]
            for file in sorted(own, key=lambda file: file.median_ms)[:1]:
                if best is None or file.is_faster(best):
                    best = file
        return best


def measurement_parts(bundle: Bundle, threads: int) -> dict[str, str]:
    """Return all that a measurement depends on.

    Args:
        threads: CPU threads of the network.
    """
    return {
        "bundle": bundle.digest,
        "threads": str(threads),
        "processor": processor_identity(),
        "system": f"{platform.system().lower()}-{platform.machine()}",
        "onnxruntime": _onnxruntime_version(),
        "openvino": library.installed_version() or "none",
    }


def _onnxruntime_version() -> str:
    for name in ("onnxruntime", "onnxruntime-gpu"):
        with suppress(importlib.metadata.PackageNotFoundError):
            return f"{name} {importlib.metadata.version(name)}"
    return "unknown"


def keep_measurement(
    bundle: Bundle, threads: int, files: Sequence[MeasuredFile]
) -> tuple[Measurement, bool]:
    """Keep what was measured, for "auto" to choose by.

    Returns:
        The measurement, and whether there was a place to keep it.
    """
    measurement = Measurement(
        parts=measurement_parts(bundle, threads),
        files=tuple(files),
        measured=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
    try:
        folder = _open_folder()
        write_atomic(
            _path(folder, measurement.parts), measurement.model_dump_json(indent=1).encode()
        )
        for path in _by_age(folder)[MOST_MEASUREMENTS:]:
            path.unlink(missing_ok=True)
    except (EngineError, OSError):
        return measurement, False
    return measurement, True


def find_measurement(bundle: Bundle, threads: int) -> Measurement | None:
    """Return what was measured here for this bundle on so many threads; None if nothing was."""
    parts = measurement_parts(bundle, threads)
    try:
        found = _read(_path(EngineCache().folder, parts))
    except EngineError:
        return None
    return found if found is not None and found.parts == parts else None


def kept_measurements() -> list[Measurement]:
    """Return all that is kept, the newest first."""
    try:
        found = [_read(path) for path in _by_age(EngineCache().folder)]
    except EngineError:
        return []
    return [one for one in found if one is not None]


def is_reference(backend: Backend, flavour: Flavour) -> bool:
    """Return whether it is what all others are compared with: FP32 in ONNX Runtime."""
    return backend == "cpu" and flavour == FP32


def _open_folder() -> Path:
    cache = EngineCache()
    cache.open()
    return cache.folder


def _path(folder: Path, parts: dict[str, str]) -> Path:
    return folder / f"measured-{engine_key(parts)}.json"


def _by_age(folder: Path) -> list[Path]:
    try:
        return sorted(
            folder.glob("measured-*.json"), key=lambda path: path.stat().st_mtime, reverse=True
        )
    except OSError:  # one vanished meanwhile
        return []


def _read(path: Path) -> Measurement | None:
    try:
        with open(path, "rb") as file:
            return Measurement.model_validate_json(file.read(MAX_SIZE))
    except (OSError, ValidationError, ValueError, RecursionError):
        return None
