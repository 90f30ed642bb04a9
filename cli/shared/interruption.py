"""Ctrl-C: what is said, the exit code, and a way out while the program still loads."""

from __future__ import annotations

import os
import signal

INTERRUPTED = (
    "interrupted: nothing that was saved is lost; run the same command with --resume where it has "
    "one"
)
EXIT_CODE = 130  # of a program that Ctrl-C ended, as shells have it


def leave_on_interrupt() -> None:
    """Let Ctrl-C end the process at once, as long as nothing has begun.

    Where it is ignored, as by `nohup` and in the background of a script, it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave_at_once)


def raise_on_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, now that there may be something to clean up."""
    if signal.getsignal(signal.SIGINT) is _leave_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave_at_once(number: int, frame: object) -> None:
    os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(EXIT_CODE)
