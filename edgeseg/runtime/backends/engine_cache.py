"""The cache of what this device built for itself, engines of TensorRT and models of OpenVINO, each
valid under one key only.

A folder per engine holds `engine.plan` and `engine.json`, which is written last and holds the
digest of the engine. Where the library compiles kernels when an engine first runs, they lie beside
it in `kernels.cache`, which the library checks before it uses them. Engines are code: the folder
must belong to this user, and nothing in a bundle or from elsewhere ever gets into it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from edgeseg.atomic_files import write_atomic
from edgeseg.bundle.manifest import FileEntry
from edgeseg.config import Section
from edgeseg.errors import EngineError
from edgeseg.json_text import to_json

PLAN, ENTRY, KERNELS = "engine.plan", "engine.json", "kernels.cache"
# What kernels were timed with; a key holds one of the two libraries.
TIMED_ON = ("tensorrt", "tensorrt-rtx", "cuda", "device", "compute", "multiprocessors", "system")
MAX_ENGINES = 8  # a device that gets a bundle a month would else fill its disk
POLL_SECONDS = 0.2
MAX_ENTRY_SIZE = 1_000_000  # bytes


def engines_folder() -> Path:
    """Return the folder of all engines: in XDG_CACHE_HOME, or in .cache in the home folder.

    Raises:
        EngineError: There is no home folder.
    """
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise EngineError(
            "there is no home folder to keep engines in; set XDG_CACHE_HOME to a folder that this "
            "user may write to"
        ) from None
    return home / "edgeseg" / "engines"


class EngineEntry(Section):
    """The content of `engine.json`: what is known of an engine, or why there is none.

    Attributes:
        format: The layout of this file.
        parts: The key of the engine in clear (`engine_provider.engine_parts`).
        plan: Size and digest of the engine; None where it was refused.
        refused: A sentence that says why there is no engine; empty where there is one.
        tries: The number of builds that failed so far.
        agreement: Percent of the golden frames' pixels with the class of FP32 at export.
        least: The agreement that was demanded, in percent.
        ms: The median time of one frame.
        seconds: The time that the build took.
        evidence: The fields of `layer_inspection.LayerInspection`.
        warnings: What the person who runs the device should look at.
        power: The power mode of a Jetson while kernels were timed, as information.
        built: The time of the build, ISO 8601 in UTC.
    """

    format: Literal[1] = 1
    parts: dict[str, str]
    plan: FileEntry | None = None
    refused: str = ""
    tries: int = Field(0, ge=0)
    agreement: float | None = None
    least: float | None = None
    ms: float | None = None
    seconds: float = 0.0
    evidence: dict[str, int | tuple[str, ...]] = Field({})
    warnings: tuple[str, ...] = ()
    power: str = ""
    built: str = ""


def engine_key(parts: dict[str, str]) -> str:
    """Return the name under which an engine with these parts lies."""
    return hashlib.sha256(to_json(parts, sort_keys=True).encode()).hexdigest()[:32]


class EngineCache:
    """The engines of one kind in one folder."""

    def __init__(self, folder: Path | None = None, kind: str = "tensorrt") -> None:
        """Name the place, which is neither made nor read yet.

        Args:
            folder: `engines_folder()` if left out.
            kind: What the names of its engines begin with.
        """
        self.folder = folder or engines_folder()
        self.kind = kind

    def open(self) -> None:
        """Make the folder, or make sure that it is ours.

        Raises:
            EngineError: It cannot be written, or others may write to it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            state = self.folder.stat()
        except OSError as error:
            raise self._unwritable(error) from None
        if state.st_uid != os.getuid() or state.st_mode & 0o022:
            raise EngineError(
                f"{self.folder} belongs to or can be written by another user, and engines are "
                "code; `chmod 700` it, or set XDG_CACHE_HOME to a folder of your own"
            )
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise self._unwritable(PermissionError(13, "Permission denied"))

    def _unwritable(self, error: OSError) -> EngineError:
        return EngineError(
            f"engines cannot be kept in {self.folder} ({error.strerror}); fix that, or set "
            "XDG_CACHE_HOME to a folder that this user may write to"
        )

    def entry(self, parts: dict[str, str]) -> EngineEntry | None:
        """Return what is known under this key; None if nothing, or nothing that can be read."""
        entry = _read_entry(self._engine_folder(parts) / ENTRY)
        return entry if entry is not None and entry.parts == parts else None

    def find(self, parts: dict[str, str]) -> tuple[EngineEntry, bytes] | None:
        """Return entry and engine; None unless both are whole and belong together."""
        entry = self.entry(parts)
        if entry is None or entry.plan is None:
            return None
        try:
            plan = (self._engine_folder(parts) / PLAN).read_bytes()
            os.utime(self._engine_folder(parts) / ENTRY)  # what is used stays
        except OSError:
            return None
        return (entry, plan) if _file_entry(plan) == entry.plan else None

    def store(self, entry: EngineEntry, plan: bytes | None) -> EngineEntry:
        """Keep an engine, or with None why there is none.

        Raises:
            EngineError: The disk is full or refuses.
        """
        folder = self._engine_folder(entry.parts)
        if plan is not None:
            entry = entry.model_copy(update={"plan": _file_entry(plan)})
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if plan is None:
                (folder / PLAN).unlink(missing_ok=True)
            else:
                (folder / KERNELS).unlink(missing_ok=True)  # of an engine that was here before
                write_atomic(folder / PLAN, plan)
            write_atomic(folder / ENTRY, entry.model_dump_json(indent=1).encode())
            self._prune()
        except OSError as error:
            raise self._unwritable(error) from None
        return entry

    def entries(self) -> list[EngineEntry]:
        """Return what is kept, the newest first."""
        entries = (_read_entry(path) for path in self._by_age())
        return [entry for entry in entries if entry is not None]

    def kernels(self, parts: dict[str, str]) -> bytes:
        """Return the kernels that were compiled for an engine; empty if there are none."""
        try:
            return (self._engine_folder(parts) / KERNELS).read_bytes()
        except OSError:
            return b""

    def keep_kernels(self, parts: dict[str, str], kernels: bytes) -> None:
        """Keep compiled kernels beside their engine; without them the next start is only slower."""
        if kernels:
            with suppress(OSError):
                write_atomic(self._engine_folder(parts) / KERNELS, kernels)

    def timing_file(self, parts: dict[str, str]) -> Path:
        """Return the file of kernel timings of this TensorRT on this device."""
        device = {name: parts[name] for name in TIMED_ON if name in parts}
        return self.folder / f"timing-{engine_key(device)}.cache"

    @contextmanager
    def build_lock(
        self, patience: float, stopped: Callable[[], bool], tell_waiting: Callable[[], None]
    ) -> Iterator[None]:
        """Let one process at a time build: builds time kernels, and two need twice the memory.

        Args:
            patience: The seconds to wait for another process.
            stopped: Asked while waiting; true gives up.
            tell_waiting: Called once if another process builds.

        Raises:
            EngineError: The other build does not end.
            KeyboardInterrupt: `stopped` ended the waiting.
        """
        try:
            handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            deadline, told = time.monotonic() + patience, False
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if stopped():
                        raise KeyboardInterrupt from None
                    if time.monotonic() > deadline:
                        raise EngineError(
                            f"another process has been building an engine in {self.folder} for "
                            f"longer than {patience:.0f} s; end it, or raise engine.timeout"
                        ) from None
                    if not told:
                        tell_waiting()
                        told = True
                    time.sleep(POLL_SECONDS)
            # what a killed build left: nobody else builds while we hold the lock
            for leftover in self.folder.glob(".build-*.tmp"):
                shutil.rmtree(leftover, ignore_errors=True)
            yield
        finally:
            os.close(handle)

    def _engine_folder(self, parts: dict[str, str]) -> Path:
        return self.folder / f"{self.kind}-{engine_key(parts)}"

    def _by_age(self) -> list[Path]:
        try:
            return sorted(
                self.folder.glob(f"{self.kind}-*/{ENTRY}"),
                key=lambda path: path.stat().st_mtime,
                reverse=True,
            )
        except OSError:  # one vanished meanwhile
            return []

    def _prune(self) -> None:
        for path in self._by_age()[MAX_ENGINES:]:
            shutil.rmtree(path.parent, ignore_errors=True)


def _file_entry(content: bytes) -> FileEntry:
    return FileEntry(size=len(content), sha256=hashlib.sha256(content).hexdigest())


def _read_entry(path: Path) -> EngineEntry | None:
    try:
        with open(path, "rb") as file:
            return EngineEntry.model_validate_json(file.read(MAX_ENTRY_SIZE))
    except (OSError, ValidationError, ValueError, RecursionError):
        return None
