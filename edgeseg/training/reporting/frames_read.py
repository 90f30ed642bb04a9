"""Which frames and labels a training was begun with: `frames.json` in its run folder.

What a step draws depends on them. Whoever looks at a run later can tell whether the site still
has the same.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from edgeseg.atomic_files import write_json
from edgeseg.errors import EdgesegError
from edgeseg.site import Site

NAME = "frames.json"
Likeness = Literal["same", "other", "unknown"]


def remember_frames(site: Site, run: Path) -> None:
    """Keep a digest of the frames that a training starts with, or goes on with."""
    digest = frames_digest(site)
    before = _remembered(run)
    changed = bool(before) and (before.get("digest") != digest or before.get("changed") is True)
    write_json(run / NAME, {"digest": digest, "changed": changed})


def likeness_of_frames(site: Site, run: Path) -> Likeness:
    """Tell whether a run has read the frames and labels that the site has now, all along."""
    before = _remembered(run)
    if "digest" not in before:
        return "unknown"
    is_same = before["digest"] == frames_digest(site) and before.get("changed") is False
    return "same" if is_same else "other"


def frames_digest(site: Site) -> str:
    """Return 16 hex digits of the frames to train on, in their order, and of their masks."""
    digest = hashlib.sha256()
    for frame in site.frames("labelled", "unlabelled"):
        digest.update(f"{frame.id}\0{frame.split}\0{frame.withheld}\0{frame.image}\n".encode())
        if frame.split == "labelled" and frame.mask is not None:
            digest.update(_content_digest(site, frame.mask))
    return digest.hexdigest()[:16]


def _content_digest(site: Site, name: str) -> bytes:
    try:
        return hashlib.sha256(site.path(name).read_bytes()).digest()
    except (OSError, EdgesegError):
        return b"unreadable"  # whoever reads the frame says why


def _remembered(run: Path) -> dict[str, object]:
    try:
        stored = json.loads((run / NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return stored if isinstance(stored, dict) else {}
