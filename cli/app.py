"""The `edgeseg` command: one file per command, in folders by what they are for.

An EdgesegError becomes one sentence and exit code 1.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgeseg.cli import adapt, demo, doctor, go
from edgeseg.cli.bundle import bench, build, export
from edgeseg.cli.bundle import eval as evaluation
from edgeseg.cli.device import infer, log, schema
from edgeseg.cli.shared.interruption import EXIT_CODE, INTERRUPTED, raise_on_interrupt
from edgeseg.cli.shared.options import RUN_VARIABLE, SettingsCommand
from edgeseg.cli.shared.other_habits import hint_for_arguments, hint_for_command
from edgeseg.cli.shared.terminal_text import never_fail_to_print, terminal_line
from edgeseg.cli.site import add, browse, init, label, labels, status
from edgeseg.cli.training import compare, distill, methods, train
from edgeseg.disk.faults import describe_disk_fault, is_disk_fault
from edgeseg.errors import EdgesegError
from edgeseg.version import __version__

UsageError: type[Any] = typer.BadParameter.__mro__[1]  # of the click inside of Typer
RESUME_COMMANDS = {
    **{name: f"{name} --resume" for name in ("adapt", "compare", "distill", "train")},
    "bench": "bench --students --accuracy --resume",
}


class Group(TyperGroup):
    """The group of all commands: whatever a user can cause ends in a sentence, not a traceback."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # Any: likewise
        hint = hint_for_command(args[0]) if args else None
        if hint is not None and self.get_command(ctx, args[0]) is None:
            ctx.fail(hint)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # Any: Typer's own context type is not public
        never_fail_to_print(sys.stdout)
        try:
            raise_on_interrupt()
            return super().invoke(ctx)
        except UsageError as error:
            hint = hint_for_arguments(error.message)
            if hint is not None:
                error.message += f" {hint}"
            raise
        except EdgesegError as error:
            _say(f"error: {error}")
            raise typer.Exit(1) from None
        except ModuleNotFoundError as error:
            from edgeseg.doctor import extra_with
            from edgeseg.installation import install_command

            missing = extra_with(error.name or "")
            if missing is None:
                raise  # ours to mend, so it keeps its traceback
            package, extra = missing
            _say(
                f"error: `edgeseg {ctx.invoked_subcommand}` needs {package}, which is not "
                f"installed here; run `{install_command(extra)}`"
            )
            raise typer.Exit(1) from None
        except OSError as error:
            if not is_disk_fault(error):
                raise  # ours to mend, so it keeps its traceback
            fault = describe_disk_fault(error, Path.cwd())
            command = _command_to_repeat(ctx.invoked_subcommand)
            _say(f"error: {fault}, then {command}; nothing saved is lost")
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            _say(INTERRUPTED)
            raise typer.Exit(EXIT_CODE) from None


def _say(sentence: str) -> None:
    print(terminal_line(sentence), file=sys.stderr)


def _command_to_repeat(name: str | None) -> str:
    """Return what to type once a fault of the disk is mended."""
    run = os.environ.get(RUN_VARIABLE)
    begun = name in ("adapt", "compare") or (run is not None and Path(run).is_dir())
    if name in RESUME_COMMANDS and begun:
        return f"run `edgeseg {RESUME_COMMANDS[name]}`"
    return "run the same command again"


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Train a segmentation model from mostly unlabelled footage of one site, and run it on "
    "an edge device.",
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"edgeseg {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


app.command(cls=SettingsCommand)(go.go)
app.command()(init.init)
app.add_typer(add.app, name="add")
app.command()(status.status)
app.command()(label.label)
app.command()(browse.browse)
app.add_typer(labels.app, name="labels")
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
app.command()(schema.schema)
app.command()(demo.demo)


def main() -> None:
    """Run the command that was asked for; the script enters through `edgeseg.cli.start`."""
    app()


if __name__ == "__main__":
    main()
