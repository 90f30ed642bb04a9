"""The entry point of the `edgeseg` script, which is quiet from its first moment.

The commands take a second to load on a busy machine. Ctrl-C in that time ends the program at once:
nothing has begun that would have to be cleaned up.
"""

from __future__ import annotations

from edgeseg.cli.shared.interruption import leave_on_interrupt


def main() -> None:
    """Load the commands and run the one that was asked for."""
    leave_on_interrupt()
    from edgeseg.cli.app import main as run_command

    run_command()


if __name__ == "__main__":
    main()
