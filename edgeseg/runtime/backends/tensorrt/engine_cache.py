"""Engines that this device built, with the key under which each is valid; on any mismatch there is
none.

A folder per engine holds `engine.plan` and `engine.json`, which is written last and holds the
plan's digest. Engines are code: the folder must belong to this user, and nothing in a bundle or
from elsewhere ever gets into it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from edgeseg.atomic_files import write_atomic
from edgeseg.bundle.manifest import FileEntry
from edgeseg.config import Section
from edgeseg.errors import EngineError

PLAN, ENTRY = "engine.plan", "engine.json"
MAX_ENGINES = 8  # engines; a device that gets a bundle a month would else fill its disk
POLL_SECONDS = 0.2  # seconds
MAX_ENTRY_SIZE = 1_000_000


def engines_folder() -> Path:
    """Where all engines lie: XDG_CACHE_HOME, or .cache in the home folder.

    Raises:
        EngineError: there is no home folder.
    """
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise EngineError(
            "there is no home folder to keep engines in; set XDG_CACHE_HOME to a folder that this user may write to"
        ) from None
    return home / "edgeseg" / "engines"


class EngineEntry(Section):
    """`engine.json`: of an engine, or with `refused` why there is none.

    Attributes:
        parts: the key in clear.
        plan: size and digest of the engine; None where it was refused.
        refused: one sentence.
        tries: builds that failed so far.
        agreement, least: percent of the golden frames' pixels that are as in FP32 at export, and
        what was demanded.
        ms: median for one frame.
        evidence: fields of `edgeseg.runtime.backends.tensorrt.layer_inspection.Evidence`.
        warnings: what the person who runs the device should look at.
        power: mode of a Jetson while kernels were timed, as information.
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
    """The name under which an engine with these parts lies."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


class EngineCache:
    """The engines of one folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or engines_folder()

    def open(self) -> None:
        """Make the folder, or make sure that it is ours.

        Raises:
            EngineError: it cannot be written, or others may write to it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            state = self.folder.stat()
        except OSError as error:
            raise self._unwritable(error) from None
        if state.st_uid != os.getuid() or state.st_mode & 0o022:
            raise EngineError(
                f"{self.folder} belongs to or can be written by another user, and engines are code; "
                "`chmod 700` it, or set XDG_CACHE_HOME to a folder of your own"
            )
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise self._unwritable(PermissionError(13, "Permission denied"))

    def _unwritable(self, error: OSError) -> EngineError:
        return EngineError(
            f"engines cannot be kept in {self.folder} ({error.strerror}); mend that, or set XDG_CACHE_HOME to a folder "
            "that this user may write to"
        )

    def entry(self, parts: dict[str, str]) -> EngineEntry | None:
        """What is known under this key; None if nothing, or nothing that can be read."""
        found = _read(self._place(parts) / ENTRY)
        return found if found is not None and found.parts == parts else None

    def find(self, parts: dict[str, str]) -> tuple[EngineEntry, bytes] | None:
        """Record and plan; None unless both are whole and belong together."""
        record = self.entry(parts)
        if record is None or record.plan is None:
            return None
        try:
            plan = (self._place(parts) / PLAN).read_bytes()
            os.utime(self._place(parts) / ENTRY)  # what is used stays
        except OSError:
            return None
        whole = (
            len(plan) == record.plan.size and hashlib.sha256(plan).hexdigest() == record.plan.sha256
        )
        return (record, plan) if whole else None

    def store(self, record: EngineEntry, plan: bytes | None) -> EngineEntry:
        """Keep an engine, or with None why there is none.

        Raises:
            EngineError: the disk is full or refuses.
        """
        place = self._place(record.parts)
        if plan is not None:
            entry = FileEntry(size=len(plan), sha256=hashlib.sha256(plan).hexdigest())
            record = record.model_copy(update={"plan": entry})
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            if plan is None:
                (place / PLAN).unlink(missing_ok=True)
            else:
                write_atomic(place / PLAN, plan)
            write_atomic(place / ENTRY, record.model_dump_json(indent=1).encode())
            self._prune()
        except OSError as error:
            raise self._unwritable(error) from None
        return record

    def entries(self) -> list[EngineEntry]:
        """What is kept, the newest first."""
        found = ((path, _read(path)) for path in self._by_age())
        return [record for _, record in found if record is not None]

    def timing_file(self, parts: dict[str, str]) -> Path:
        """The file of kernel timings of this TensorRT on this device."""
        device = {
            name: parts[name]
            for name in ("tensorrt", "cuda", "device", "compute", "multiprocessors", "system")
        }
        return self.folder / f"timing-{engine_key(device)}.cache"

    @contextmanager
    def build_lock(
        self, patience: float, stopped: Callable[[], bool], waits: Callable[[], None]
    ) -> Iterator[None]:
        """One build at a time on a device: builds time kernels, and two would need twice the
        memory.

        Args:
            patience: seconds to wait for another process.
            stopped: give up.
            waits: called once if another process builds.

        Raises:
            EngineError: the other build does not end.
            KeyboardInterrupt: `stopped`.
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
                            f"another process has been building an engine in {self.folder} for longer than "
                            f"{patience:.0f} s; end it, or raise engine.timeout"
                        ) from None
                    if not told:
                        waits()
                        told = True
                    time.sleep(POLL_SECONDS)
            for leftover in self.folder.glob(
                ".build-*.tmp"
            ):  # of a build that was killed; we hold the lock
                shutil.rmtree(leftover, ignore_errors=True)
            yield
        finally:
            os.close(handle)

    def _place(self, parts: dict[str, str]) -> Path:
        return self.folder / f"tensorrt-{engine_key(parts)}"

    def _by_age(self) -> list[Path]:
        try:
            return sorted(
                self.folder.glob(f"tensorrt-*/{ENTRY}"),
                key=lambda path: path.stat().st_mtime,
                reverse=True,
            )
        except OSError:  # one vanished meanwhile
            return []

    def _prune(self) -> None:
        for path in self._by_age()[MAX_ENGINES:]:
            shutil.rmtree(path.parent, ignore_errors=True)


def _read(path: Path) -> EngineEntry | None:
    try:
        with open(path, "rb") as file:
            return EngineEntry.model_validate_json(file.read(MAX_ENTRY_SIZE))
    except (OSError, ValidationError, ValueError, RecursionError):
        return None
