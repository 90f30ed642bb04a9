"""The processor: which one it is, and how many cores this process may use."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from pathlib import Path


def available_cores() -> int:
    """Return the number of cores that this process may use, fewer than there are in a container."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_identity(cpu: str | None = None) -> str:
    """Return a name that differs where the processor or its instruction sets do.

    Args:
        cpu: The content of /proc/cpuinfo; read if left out.
    """
    if cpu is None:
        try:
            cpu = Path("/proc/cpuinfo").read_text(errors="replace")
        except OSError:
            cpu = ""
    name = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", cpu, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpu, re.MULTILINE)
    shown = name[1].strip() if name else platform.processor() or platform.machine()
    sets = " ".join(sorted(flags[1].split())) if flags else ""
    return f"{shown}, {hashlib.sha256(sets.encode()).hexdigest()[:12]}"
