"""Wheels as loads: folders that are small enough to travel one at a time.

Wheels fill the loads one behind the other; where a load is full, the wheel is cut, and goes on in
the next one. With 50 bytes a load, wheels of 30 and 60 become load-1 with `a.whl.part1` of 30 and
`b.whl.part1` of 20, and load-2 with `b.whl.part2` of 40.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

MANIFEST = "wheels.json"  # in every load: the digest of each wheel


class LoadError(Exception):
    """Loads that do not make up the wheels; the message says what is missing."""


def split(wheels: Iterable[Path], folder: Path, most: int) -> list[Path]:
    """Distribute wheels over loads of at most `most` bytes.

    Args:
        wheels: The files; they are left as they are.
        folder: Where `load-1` and so on go; those of before are deleted.
        most: Bytes of the pieces in a load.

    Returns:
        The loads.
    """
    for old in folder.glob("load-*"):
        shutil.rmtree(old)
    loads: list[Path] = []
    digests: dict[str, str] = {}
    room = 0
    for wheel in wheels:
        data, part = memoryview(wheel.read_bytes()), 0
        digests[wheel.name] = hashlib.sha256(data).hexdigest()
        while data:
            if room == 0:
                loads.append(folder / f"load-{len(loads) + 1}")
                loads[-1].mkdir(parents=True)
                room = most
            part += 1
            (loads[-1] / f"{wheel.name}.part{part}").write_bytes(data[:room])
            room, data = max(0, room - len(data)), data[room:]
    for load in loads:
        (load / MANIFEST).write_text(json.dumps(digests, indent=1))
    return loads


def join(folder: Path, target: Path) -> list[Path]:
    """Put the wheels of all loads together again.

    Args:
        folder: The folder that holds the loads.
        target: Where the wheels go.

    Returns:
        The wheels.

    Raises:
        LoadError: A load is missing or damaged.
    """
    manifests = sorted(folder.glob(f"load-*/{MANIFEST}"))
    if not manifests:
        raise LoadError(f"{folder} holds no loads of wheels; make them with --pack {folder}")
    wheels = []
    for name, digest in json.loads(manifests[0].read_bytes()).items():
        pieces = sorted(folder.glob(f"load-*/{name}.part*"), key=_part_number)
        data = b"".join(piece.read_bytes() for piece in pieces)
        if hashlib.sha256(data).hexdigest() != digest:
            here = ", ".join(manifest.parent.name for manifest in manifests)
            raise LoadError(
                f"{name} is not whole: of the loads {here} are here; bring the others of the same "
                "--pack, then install again"
            )
        wheels.append(target / name)
        wheels[-1].write_bytes(data)
    return wheels


def _part_number(piece: Path) -> int:
    return int(piece.suffix.removeprefix(".part"))
