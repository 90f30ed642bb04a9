"""The entry point of the `edgeseg` script, which is quiet from its first moment.

The commands take a second to load on a busy machine. Ctrl-C in that time ends the program at once:
nothing has begun that would have to be cleaned up.
"""

from __future__ import annotations

import signal

from edgeseg.cli.shared.interruption import leave_at_once


def main() -> None:
    """Load the commands and run the one that was asked for."""
    default = signal.default_int_handler
    if is_ours := signal.getsignal(signal.SIGINT) is default:  # else the shell wants it ignored
        signal.signal(signal.SIGINT, leave_at_once)
    from edgeseg.cli.app import main as run_command

    if is_ours:
        signal.signal(signal.SIGINT, default)
    run_command()


if __name__ == "__main__":
    main()
