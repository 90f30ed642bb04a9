"""The `edgeseg` command: one file per command, in folders by what they are for.

An EdgesegError becomes one sentence and exit code 1.
"""

from __future__ import annotations

import errno
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from edgeseg.cli import adapt, demo, doctor
from edgeseg.cli.bundle import bench, build, export
from edgeseg.cli.bundle import eval as evaluation
from edgeseg.cli.device import infer, log
from edgeseg.cli.shared.options import SettingsCommand
from edgeseg.cli.site import add, init, status
from edgeseg.cli.training import compare, distill, methods, train
from edgeseg.errors import EdgesegError

DISK_FAULTS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENAMETOOLONG,
}


class Group(TyperGroup):
    """The group of all commands: whatever a user can cause ends in a sentence, not a traceback."""

    def invoke(self, ctx: Any) -> Any:  # Any: Typer's own context type is not public
        try:
            return super().invoke(ctx)
        except EdgesegError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        except OSError as error:
            if error.errno not in DISK_FAULTS:
                raise  # ours to mend, so it keeps its traceback
            fault = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
            print(
                f"error: cannot write {fault}; mend that and run the same command again, "
                "nothing saved is lost",
                file=sys.stderr,
            )
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            print(
                "interrupted: nothing that was saved is lost; run the same command with "
                "--resume where it has one",
                file=sys.stderr,
            )
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train a segmentation model from mostly unlabelled footage of one site, and run it on "
    "an edge device.",
)


app.command()(init.init)
app.add_typer(add.app, name="add")
app.command()(status.status)
app.command(cls=SettingsCommand)(train.train)
app.command(cls=SettingsCommand)(compare.compare)
app.command(cls=SettingsCommand)(distill.distill)
app.command(cls=SettingsCommand)(export.export)
app.command(cls=SettingsCommand)(infer.infer)
app.command(cls=SettingsCommand)(build.build)
app.command(cls=SettingsCommand)(bench.bench)
app.command("eval", cls=SettingsCommand)(evaluation.evaluate)
app.command()(adapt.adapt)
app.command()(methods.methods)
app.command()(doctor.doctor)
app.add_typer(log.app, name="log")
app.command()(demo.demo)


def main() -> None:
    """Entry point of the `edgeseg` script."""
    app()


if __name__ == "__main__":
    main()
