"""The C library's memory allocator, told to keep what tensors free."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# Names and numbers of glibc's malloc.h.
M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD = -4, -1, -2
OPTIONS = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 << 20))


def keep_freed_memory() -> None:
    """Let this process keep the memory that tensors free, where the C library is glibc.

    With other C libraries nothing happens.

    By itself glibc gives every large tensor back to the system at once, and the next step pays for
    each page anew (what that costs is in benchmarks/RESULTS.md). The most that is ever held stays
    the same.
    """
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in OPTIONS:
            mallopt(option, value)
