"""Ctrl-C: what is said, the exit code, and a way out while the program still loads."""

from __future__ import annotations

import os

INTERRUPTED = (
    "interrupted: nothing that was saved is lost; run the same command with --resume where it has "
    "one"
)
EXIT_CODE = 130  # of a program that Ctrl-C ended, as shells have it


def leave_at_once(number: int, frame: object) -> None:
    """Handle a signal by ending the process, before anything has begun."""
    os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(EXIT_CODE)
