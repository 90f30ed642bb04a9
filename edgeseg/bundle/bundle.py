"""The bundle: a folder of fixed file names that a device runs, checked byte for byte before
anything is used.

Nothing in it is unpacked by name, files are read once, and what is loaded are the very bytes whose
hash was checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from edgeseg.atomic_files import fsync_dir, write_atomic
from edgeseg.bundle.flavours import FLAVOURS, FP32, Flavour
from edgeseg.config import ClassSpec, Section
from edgeseg.errors import BundleError

FORMAT = 1
MANIFEST = "manifest.json"
CALIBRATION, GOLDEN, CARD = "calibration.json", "golden.npz", "card.md"
FILE_NAMES = (*(spec.file for spec in FLAVOURS.values()), CALIBRATION, GOLDEN, CARD)
MAX_MANIFEST = 1_000_000
MAX_FILE = 2_000_000_000


class FileEntry(Section):
    """Exact size and digest of one file."""

    size: int = Field(ge=0, le=MAX_FILE)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(Section):
    """`manifest.json`.

    Attributes:
        format: layout of this file; a device refuses one it does not know.
        seq: rises with every published bundle of a site.
        height, width: of the graph's input.
        entropy_height, entropy_width: of its entropy map (the logits' stride).
        gamma: entropy above which a pixel counts as unreliable.
        temperature: what the logits are divided by before the entropy.
        log_threshold: score from which a frame is worth sending home (95 % quantile on val).
        figures: every step of the parity chain, by flavour; `speedup` in it is how much faster than
            FP32 the file ran.
        provenance: method, run, configuration, data digest, code version.
    """

    format: Literal[1] = 1
    seq: int = Field(0, ge=0)
    site: str
    created: str
    classes: tuple[ClassSpec, ...] = Field(min_length=2, max_length=64)
    height: int = Field(ge=32, le=8192)
    width: int = Field(ge=32, le=8192)
    entropy_height: int = Field(ge=1, le=8192)
    entropy_width: int = Field(ge=1, le=8192)
    gamma: float = Field(ge=0, le=1)
    temperature: float = Field(gt=0)
    log_threshold: float = Field(ge=0, le=1)
    figures: dict[str, Any]  # Any: a table of numbers that only reports read
    provenance: dict[str, Any]  # Any: as figures
    files: dict[str, FileEntry]


class Bundle:
    """A bundle whose manifest was read and whose files are all there with the right sizes.

    Attributes:
        path: the folder.
        manifest: what it says of itself.
        digest: sha256 of the manifest, and so of everything it lists.
    """

    def __init__(self, path: Path, manifest: Manifest, digest: str) -> None:
        self.path = path
        self.manifest = manifest
        self.digest = digest

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Read the manifest and check names and sizes; content is checked by `read`.

        Raises:
            BundleError: no bundle, an unknown format, foreign or missing files, wrong sizes.
        """
        path = path.resolve()
        source = path / MANIFEST
        try:
            if source.stat().st_size > MAX_MANIFEST:
                raise BundleError(f"{source} is larger than any manifest; export the bundle again")
            data = source.read_bytes()
            manifest = Manifest.model_validate(json.loads(data))
        except (FileNotFoundError, NotADirectoryError):
            raise BundleError(
                f"{path} is no bundle, it has no {MANIFEST}; make one with `edgeseg export`"
            ) from None
        except (OSError, ValueError, ValidationError, RecursionError) as error:
            what = str(error).splitlines()[0]
            raise BundleError(
                f"{source} cannot be used ({what}); export the bundle again, or update edgeseg here"
            ) from None
        foreign = sorted(set(manifest.files) - set(FILE_NAMES))
        if foreign or FLAVOURS[FP32].file not in manifest.files:
            what = (
                f"lists foreign files {', '.join(foreign)}"
                if foreign
                else f"lists no {FLAVOURS[FP32].file}"
            )
            raise BundleError(f"{source} {what}; export the bundle again")
        for name, entry in manifest.files.items():
            file = path / name
            if file.is_symlink() or not file.is_file() or file.stat().st_size != entry.size:
                raise BundleError(f"{file} is missing or has the wrong size; copy the bundle again")
        return cls(path, manifest, hashlib.sha256(data).hexdigest())

    def read(self, name: str) -> bytes:
        """The bytes of one file, after their digest was checked.

        Raises:
            BundleError: the bundle has no such file, or its content is not what was exported.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundleError(
                f"{self.path} holds no {name}; export it again with the option that makes it"
            )
        try:
            with open(self.path / name, "rb") as file:
                data = file.read(entry.size + 1)
        except OSError as error:
            raise BundleError(
                f"{self.path / name} cannot be read ({error.strerror}); copy the bundle again"
            ) from None
        if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BundleError(
                f"{self.path / name} is damaged, its digest is wrong; copy the bundle again"
            )
        return data

    def holds(self, flavour: Flavour) -> bool:
        """Return whether the bundle brings the file of `flavour`."""
        return FLAVOURS[flavour].file in self.manifest.files

    def flavours(self) -> list[Flavour]:
        """Return the flavours whose files the bundle brings, in the order of tables."""
        return [flavour for flavour in FLAVOURS if self.holds(flavour)]

    def speedup(self, flavour: Flavour) -> float:
        """Return how many times as fast as FP32 the file of `flavour` ran at its export.

        Zero where that was not measured.
        """
        figures = self.manifest.figures.get(flavour)
        value = figures.get("speedup") if isinstance(figures, dict) else None
        return float(value) if isinstance(value, (int, float)) else 0.0

    def verify(self) -> None:
        """Check the content of every file.

        Raises:
            BundleError: one is damaged.
        """
        for name in self.manifest.files:
            self.read(name)


def write(path: Path, manifest: Manifest, files: dict[str, bytes]) -> Bundle:
    """Write a bundle so that `path` either holds all of it or is not there; an older bundle at
    `path` is replaced.

    Args:
        manifest: its `files` are filled in here.
        files: content by file name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    staging.mkdir()
    try:
        for name, data in files.items():
            write_atomic(staging / name, data)
        entries = {
            n: FileEntry(size=len(d), sha256=hashlib.sha256(d).hexdigest())
            for n, d in files.items()
        }
        complete = manifest.model_copy(update={"files": entries})
        write_atomic(staging / MANIFEST, complete.model_dump_json(indent=2).encode())
        if path.exists():
            old = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old.tmp")
            os.replace(path, old)
            os.replace(staging, path)
            shutil.rmtree(old)
        else:
            os.replace(staging, path)
        fsync_dir(path.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Bundle.open(path)
