"""Archives that label tools hand out, unpacked within limits.

Refused are encrypted archives, names that lead out of the folder or that disks do not take, links,
two files of one name, and archives that unpack to far more than they are (a bomb).
"""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeseg.data.label_formats.export_files import MOST_FILES, ExportFiles
from edgeseg.errors import DataError

FOLDER = "unpacked"
MOST_TIMES = 200  # an archive may grow; masks compress well, but a bomb by 1000 and more
FREE_GROWTH = 64 * 1024 * 1024  # bytes for which no archive is suspected
SPARE_BYTES = 1 << 30  # that are left free on the disk
MOST_NAME_BYTES = 255
PIECE_BYTES = 1 << 20


@contextmanager
def open_export(path: Path, scratch: Path) -> Iterator[ExportFiles]:
    """Open a folder, a file or a zip archive.

    Args:
        scratch: A folder that an archive is unpacked below; cleared afterwards.

    Raises:
        DataError: It does not exist, is damaged, or may not be unpacked.
    """
    if path.is_dir():
        yield ExportFiles(path, path)
    elif not path.is_file():
        raise DataError(f"{path} does not exist; name the export: a folder, a file or a zip")
    elif not zipfile.is_zipfile(path):
        yield ExportFiles(path.parent, path, only=path)
    else:
        folder = scratch / FOLDER
        try:
            unpack(path, folder)
            yield ExportFiles(folder, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip archive into a new folder.

    Raises:
        DataError: See the module; or the disk does not take it.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _checked_members(opened, archive)
            folder.mkdir(parents=True)
            room = shutil.disk_usage(folder).free - SPARE_BYTES
            total = sum(member.file_size for member in members)
            if total > room:
                raise DataError(
                    f"{archive} unpacks to {total >> 20} MiB, more than the disk of {folder} has "
                    "room for; make room, or unpack it elsewhere and name the folder"
                )
            for member in members:
                _unpack_member(opened, member, folder / member.filename)
    # RuntimeError: of zipfile, for an encrypted member or a method that it does not know
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DataError(
            f"{archive} is a damaged or unusual zip ({error}); export it again"
        ) from None
    except OSError as error:
        raise DataError(f"{archive} cannot be unpacked to {folder} ({error.strerror})") from None


def _checked_members(opened: zipfile.ZipFile, archive: Path) -> list[zipfile.ZipInfo]:
    """Return the files of an archive, all of which may be unpacked."""
    members = [member for member in opened.infolist() if not member.is_dir()]
    if len(members) > MOST_FILES:
        raise DataError(f"{archive} holds more than {MOST_FILES} files; export it in parts")
    names = set()
    for member in members:
        if reason := _fault(member):
            raise DataError(f"{archive}: {member.filename[:200]!r} {reason}; nothing was unpacked")
        if member.filename.casefold() in names:
            raise DataError(f"{archive}: holds {member.filename!r} twice; nothing was unpacked")
        names.add(member.filename.casefold())
    total = sum(member.file_size for member in members)
    if total > max(FREE_GROWTH, MOST_TIMES * archive.stat().st_size):
        raise DataError(
            f"{archive} would unpack to {total >> 20} MiB, more than {MOST_TIMES} times its size, "
            "as only a zip bomb does; if it is none, unpack it yourself and name the folder"
        )
    return members


def _fault(member: zipfile.ZipInfo) -> str:
    """Say why a file of an archive may not be unpacked; empty if it may."""
    parts = member.filename.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in member.filename:
        return "leads out of the folder"
    if any(len(part.encode("utf-8", "replace")) > MOST_NAME_BYTES for part in parts):
        return "has a name that disks do not take"
    if any(not character.isprintable() for character in member.filename):
        return "has a name that cannot be printed"
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "is a link or no regular file"
    return "is encrypted" if member.flag_bits & 1 else ""


def _unpack_member(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Write one file, and never more of it than the archive declared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(member) as source, path.open("xb") as target:
        while piece := source.read(PIECE_BYTES):
            written += len(piece)
            if written > member.file_size:
                raise zipfile.BadZipFile(f"{member.filename} is longer than declared")
            target.write(piece)
