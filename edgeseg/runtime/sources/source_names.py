"""Names made from a source's address: safe as file names, and without its password."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

# scheme://user:password@ ; to the last @, as passwords may hold one. The user may be shown.
CREDENTIALS = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)([^\s:@/]*)(:?).*@")
MOST_NAME_BYTES = 240  # of a name to which suffixes are added
SECRET_VALUES = re.compile(r"(?i)((?:pass\w*|pwd|token|secret|auth\w*|api_?key|key)=)[^&;\s]+")


def safe_name(text: str) -> str:
    """Return `text` with nothing in it that a file name or a camera name must not hold.

    "10.0.0.7:554/live/1" gives "10.0.0.7-554-live-1".
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "camera"


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: its stem where these are unique, else as much as it takes.

    a/1.png a/2.png           1, 2
    a/1.png b/1.png           a__1, b__1
    a/1.png a/1.jpg           1.png, 1.jpg
    """
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    root = os.path.commonpath([path.parent for path in paths])
    relative = [path.relative_to(root).as_posix().replace("/", "__") for path in paths]
    without_suffix = [Path(name).stem for name in relative]
    is_enough = len(set(without_suffix)) == len(without_suffix)
    return [_shortened(name) for name in (without_suffix if is_enough else relative)]


def unique_safe_names(paths: Sequence[Path]) -> list[str]:
    """Return `unique_names` in the letters of `safe_name`, numbered where that makes them alike.

    ä.mp4 and ö.mp4 give camera and camera-2.
    """
    used: Counter[str] = Counter()
    names = []
    for name in map(safe_name, unique_names(paths)):
        used[name] += 1
        while (numbered := f"{name}-{used[name]}" if used[name] > 1 else name) in names:
            used[name] += 1
        names.append(numbered)
    return names


def _shortened(name: str) -> str:
    """Return a name that leaves room for a suffix in the 255 bytes of a file name.

    What is cut off is replaced by a digest of the whole, so that names stay unique.
    """
    whole = os.fsencode(name)
    if len(whole) <= MOST_NAME_BYTES:
        return name
    digest = hashlib.sha256(whole).hexdigest()[:12]
    return f"{whole[: MOST_NAME_BYTES - 13].decode('utf-8', 'ignore')}~{digest}"


def redact(text: str) -> str:
    """Return `text` with *** for passwords and for the values of secret keys.

    "rtsp://bob:geheim@cam/x?token=1" gives "rtsp://bob:***@cam/x?token=***".
    """
    return SECRET_VALUES.sub(r"\1***", CREDENTIALS.sub(_hide_password, text))


def _hide_password(match: re.Match[str]) -> str:
    scheme, user, colon = match.groups()
    # Without a colon what stands before the @ is a token or a user; it may be a secret.
    return f"{scheme}{user}:***@" if colon else f"{scheme}***@"
