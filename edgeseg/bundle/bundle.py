"""The bundle: a folder of fixed file names that a device runs, checked byte for byte first.

Nothing in it is unpacked by name. A file is read once, and the bytes whose digest was checked are
the ones that are used. `edgeseg.bundle.verification` lists all that is checked, and where.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from pydantic import ValidationError

from edgeseg.atomic_files import fsync_dir, temporary_path, write_atomic
from edgeseg.bundle.flavours import FLAVOURS, FP32, Flavour
from edgeseg.bundle.manifest import FILE_NAMES, MANIFEST, FileEntry, Manifest
from edgeseg.errors import BundleError, DamagedBundleError

MAX_MANIFEST = 1_000_000  # bytes


class Bundle:
    """A bundle whose manifest was read and whose files are all there with the right sizes.

    Attributes:
        path: The folder.
        manifest: What the bundle says of itself.
        digest: The sha256 of the manifest, and so of everything that it lists.
    """

    def __init__(self, path: Path, manifest: Manifest, digest: str) -> None:
        self.path = path
        self.manifest = manifest
        self.digest = digest

    @classmethod
    def open(cls, path: Path | str) -> Bundle:
        """Read the manifest and check names and sizes; content is checked by `read`.

        Raises:
            BundleError: There is no bundle, its format is unknown, or files are foreign, missing
                or of the wrong size.
        """
        path = Path(path).resolve()
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
            reason = str(error).splitlines()[0]
            raise BundleError(
                f"{source} cannot be used ({reason}); export the bundle again, or update edgeseg "
                "here"
            ) from None
        _check_files(path, manifest)
        return cls(path, manifest, hashlib.sha256(data).hexdigest())

    def read(self, name: str) -> bytes:
        """Return the bytes of one file after their digest was checked.

        Raises:
            BundleError: The bundle has no such file, or its content is not what was exported.
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
            raise DamagedBundleError(
                f"{self.path / name} cannot be read ({error.strerror}); copy the bundle again"
            ) from None
        if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise DamagedBundleError(
                f"{self.path / name} is damaged, its digest is wrong; copy the bundle again"
            )
        return data

    def verify(self) -> None:
        """Check the content of every file.

        Raises:
            BundleError: A file is damaged.
        """
        for name in self.manifest.files:
            self.read(name)

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


def _check_files(path: Path, manifest: Manifest) -> None:
    """Compare the files that a manifest lists with those that a bundle may have, and has.

    Raises:
        BundleError: A file is foreign, missing, a link or of the wrong size.
    """
    source = path / MANIFEST
    foreign = sorted(set(manifest.files) - set(FILE_NAMES))
    if foreign:
        raise BundleError(
            f"{source} lists foreign files {', '.join(foreign)}; export the bundle again"
        )
    if FLAVOURS[FP32].file not in manifest.files:
        raise BundleError(f"{source} lists no {FLAVOURS[FP32].file}; export the bundle again")
    for name, entry in manifest.files.items():
        file = path / name
        if file.is_symlink() or not file.is_file() or file.stat().st_size != entry.size:
            raise DamagedBundleError(
                f"{file} is missing or has the wrong size; copy the bundle again"
            )


def write_bundle(path: Path, manifest: Manifest, files: dict[str, bytes]) -> Bundle:
    """Write a bundle so that `path` holds either all of it or what was there before.

    Args:
        manifest: The manifest; its `files` are filled in here.
        files: The content by file name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = temporary_path(path)
    staging.mkdir()
    try:
        for name, data in files.items():
            write_atomic(staging / name, data)
        entries = {
            name: FileEntry(size=len(data), sha256=hashlib.sha256(data).hexdigest())
            for name, data in files.items()
        }
        complete = manifest.model_copy(update={"files": entries})
        write_atomic(staging / MANIFEST, complete.to_json())
        if path.exists():
            old = temporary_path(path, ".old.tmp")
            os.replace(path, old)
            os.replace(staging, path)
            shutil.rmtree(old)
        else:
            os.replace(staging, path)
        fsync_dir(path.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Bundle.open(path)
